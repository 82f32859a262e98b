/**
 * Storage in memory, for tests and for callers that have an image as bytes.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { WritableStorage } from "./types.ts";

/**
 * Bytes in memory that behave like a new file: writes extend it, and bytes that were never written read as zero.
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "./memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage();
 * await storage.writeAt(new Uint8Array([7]), 3);
 * assert.deepEqual([...storage.bytes()], [0, 0, 0, 7]);
 * ```
 */
export class MemoryStorage implements WritableStorage {
  readonly label: string;
  readonly startsZeroed: boolean;
  readonly zeroesCheaply = true;
  #buffer: Uint8Array;
  #size: number;

  /** Copies `content`. */
  constructor(content: Uint8Array = new Uint8Array(0), label = "memory") {
    this.#buffer = content.slice();
    this.#size = content.length;
    this.label = label;
    this.startsZeroed = content.length === 0;
  }

  get size(): number {
    return this.#size;
  }

  /** Returns the current content; a view, not a copy. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#size);
  }

  readAt(into: Uint8Array, fileOffset: number): Promise<void> {
    if (fileOffset + into.length > this.#size) {
      return Promise.reject(
        corrupt(
          `Cannot read ${into.length} bytes at ${fileOffset} of "${this.label}": it ends at ${this.#size}`,
          this.label,
          fileOffset,
        ),
      );
    }
    into.set(this.#buffer.subarray(fileOffset, fileOffset + into.length));
    return Promise.resolve();
  }

  writeAt(from: Uint8Array, fileOffset: number): Promise<void> {
    this.#grow(fileOffset + from.length);
    this.#buffer.set(from, fileOffset);
    return Promise.resolve();
  }

  zeroAt(start: number, end: number): Promise<void> {
    this.#grow(end);
    this.#buffer.fill(0, start, end);
    return Promise.resolve();
  }

  truncate(size: number): Promise<void> {
    if (size < this.#size) this.#buffer.fill(0, size, this.#size);
    this.#grow(size);
    this.#size = size;
    return Promise.resolve();
  }

  reserve(_start: number, end: number, _written: boolean): Promise<void> {
    this.#grow(end);
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #grow(size: number): void {
    if (size > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(size, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(0, this.#size));
      this.#buffer = grown;
    }
    this.#size = Math.max(this.#size, size);
  }
}
