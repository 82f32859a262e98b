/**
 * Estimates the size of files with compressed data. Pure.
 *
 * @module
 */

/** How well data compresses, with the error of the estimate. */
export interface CompressedShare {
  /** Bytes in the file for one byte of data. */
  readonly share: number;
  /** Two standard errors of the samples, plus the bytes that a format may add to each cluster, for one byte of data. */
  readonly error: number;
}

/**
 * Returns the size of files of `size` bytes once the `data` bytes of data in them are compressed, and its error. In bytes.
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
  // A cluster that does not become smaller is stored as it is.
  return { size: Math.min(size, Math.round(size - data + data * share)), error: Math.ceil(data * error) };
}
