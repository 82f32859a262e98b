/**
 * Buffers for reading and writing files.
 *
 * @module
 */

/**
 * Returns `length` zeroed bytes, aligned to a page of the processor where the host supports that. Workers may share
 * them.
 *
 * The kernel copies between a file and memory with one instruction, which on AMD processors takes up to twice as long
 * where the memory begins a few bytes after the start of a page, as large allocations of the C library do (16 bytes).
 * JavaScript cannot align memory, but memory of WebAssembly begins at a page.
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
    // Fails without a just-in-time compiler (no WebAssembly), or where address space is scarce.
    return new Uint8Array(new SharedArrayBuffer(length));
  }
}
