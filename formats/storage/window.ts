/**
 * A slice of another storage, as a storage: a partition inside a disk, an image inside a container.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { Storage } from "./types.ts";

/**
 * The bytes `[start, start + size)` of `inner`. It does not own `inner`.
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "./memory.ts";
 * import { windowOf } from "./window.ts";
 * import assert from "node:assert/strict";
 *
 * const slice = windowOf(new MemoryStorage(new Uint8Array([1, 2, 3, 4])), 1, 2);
 * const bytes = new Uint8Array(2);
 * await slice.readAt(bytes, 0);
 * assert.deepEqual([...bytes], [2, 3]);
 * ```
 */
export function windowOf(inner: Storage, start: number, size: number): Storage {
  if (start + size > inner.size) {
    throw corrupt(
      `Cannot take bytes ${start} to ${start + size} of "${inner.label}": it ends at ${inner.size}`,
      inner.label,
      start,
    );
  }
  const holeAt = inner.holeAt?.bind(inner);
  return {
    label: inner.label,
    size,
    readAt(into, fileOffset) {
      if (fileOffset + into.length > size) {
        return Promise.reject(
          corrupt(`Cannot read past the end of the window of "${inner.label}"`, inner.label, start + fileOffset),
        );
      }
      return inner.readAt(into, start + fileOffset);
    },
    ...(holeAt && {
      async holeAt(fileOffset: number, limit: number) {
        const found = await holeAt(start + fileOffset, start + limit);
        return { hole: found.hole, end: found.end - start };
      },
    }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
