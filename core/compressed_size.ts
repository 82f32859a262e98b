/**
 * How long files become whose data is packed. Pure.
 *
 * @module
 */

/** How well data packs: bytes in the file for one byte of data, and what that may be wrong by. */
export interface PackedShare {
  /** Bytes in the file for one byte of data. */
  readonly share: number;
  /** Two standard errors of the samples, and what a format may add to each unit. */
  readonly error: number;
}

/**
 * The size of files of `size` bytes, if the `data` bytes of data in them are packed; and what it may be wrong by.
 *
 * @example
 * ```ts
 * import { packedSize } from "./compressed_size.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(packedSize(1100, 1000, { share: 0.25, error: 0.01 }), { size: 350, error: 10 });
 * ```
 */
export function packedSize(
  size: number,
  data: number,
  { share, error }: PackedShare,
): { readonly size: number; readonly error: number } {
  // Never more than without packing.
  return { size: Math.min(size, Math.round(size - data + data * share)), error: Math.ceil(data * error) };
}
