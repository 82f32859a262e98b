/**
 * Memory that files are read into and written from.
 *
 * @module
 */

/**
 * `length` bytes, zero at first, that begin with a page of the processor where the host can do that. Workers may share
 * them. Stands alone: workers run its text.
 *
 * The kernel copies between a file and memory with one instruction, and with processors of AMD this takes up to twice as
 * long where the memory begins a few bytes behind the start of a page: 16, where the C library puts whatever is large.
 * JavaScript cannot say where memory begins, but that of WebAssembly begins with a page.
 *
 * @example
 * ```ts
 * import { pageMemory } from "./page_memory.ts";
 * import assert from "node:assert/strict";
 *
 * const memory = pageMemory(1000);
 * assert.equal(memory.length, 1000);
 * assert.ok(memory.buffer instanceof SharedArrayBuffer);
 * ```
 */
export function pageMemory(length: number): Uint8Array {
  const pages = Math.ceil(length / 65536);
  try {
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return new Uint8Array(buffer, 0, length);
  } catch {
    // Without a compiler there is no WebAssembly, and with little address space no memory of it.
    return new Uint8Array(new SharedArrayBuffer(length));
  }
}
