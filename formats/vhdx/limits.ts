/**
 * Sizes that the format sets, in bytes.
 *
 * @module
 */

/** Everything in the file stands on multiples of this. */
export const MIB = 1 << 20;
/** The largest disk, in guest bytes ([MS-VHDX] 1.3). */
export const MAX_SIZE = 64 * 2 ** 40;
/** Limits of the block size, in bytes ([MS-VHDX] 2.6.2.1). */
export const MIN_BLOCK = 1 << 20;
export const MAX_BLOCK = 256 << 20;
