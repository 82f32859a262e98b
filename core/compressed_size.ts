/**
 * How long files become whose data is compressed. Pure.
 *
 * @module
 */

/** How well data compresses: bytes in the file for one byte of data, and what that may be wrong by. */
export interface CompressedShare {
  /** Bytes in the file for one byte of data. */
  readonly share: number;
  /** Two standard errors of the samples, and what a format may add to each unit. */
  readonly error: number;
}

/**
 * The size of files of `size` bytes, if the `data` bytes of data in them are compressed; and what it may be wrong by.
 *
 * @example
 * ```ts
 * import { compressedSize } from "./compressed_size.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(compressedSize(1100, 1000, { share: 0.25, error: 0.01 }), { size: 350, error: 10 });
 * ```
 */
export function compressedSize(
  size: number,
  data: number,
  { share, error }: CompressedShare,
): { readonly size: number; readonly error: number } {
  // Never more than without compressing.
  return { size: Math.min(size, Math.round(size - data + data * share)), error: Math.ceil(data * error) };
}
