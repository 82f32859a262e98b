/**
 * Entries of refcount blocks, of every width (specification, "Host cluster management"). Pure.
 *
 * @module
 */
import { corrupt } from "../../errors.ts";

/** Returns how many clusters one refcount block counts. */
export function refcountsPerBlock(clusterSize: number, order: number): number {
  return clusterSize * 8 / 2 ** order;
}

/** Returns the maximum refcount of an entry of `1 << order` bits; at most 2^53 - 1, which no refcount reaches. */
export function maxRefcount(order: number): number {
  return order === 6 ? Number.MAX_SAFE_INTEGER : 2 ** (2 ** order) - 1;
}

/**
 * Returns the refcount at `index`.
 *
 * @throws ImageError `corrupt` for a 64-bit refcount above 2^53 - 1
 */
export function refcountAt(block: Uint8Array, order: number, index: number): number {
  if (order === 4) return block[index * 2]! << 8 | block[index * 2 + 1]!;
  if (order === 3) return block[index]!;
  if (order < 3) {
    const bit = index << order;
    return block[bit >>> 3]! >>> (bit & 7) & (1 << (1 << order)) - 1;
  }
  const low = wordAt(block, ((index + 1) << (order - 3)) - 4);
  if (order === 5) return low;
  const high = wordAt(block, index * 8);
  if (high > 0x1fffff) throw corrupt(`Cannot use a refcount: it is above 2^53 - 1`);
  return high * 2 ** 32 + low;
}

/** Sets the refcount at `index`; `count` must not exceed {@linkcode maxRefcount}. */
export function setRefcount(block: Uint8Array, order: number, index: number, count: number): void {
  if (order < 3) {
    const bit = index << order;
    const mask = (1 << (1 << order)) - 1 << (bit & 7);
    block[bit >>> 3] = block[bit >>> 3]! & ~mask | count << (bit & 7);
    return;
  }
  const bytes = 1 << (order - 3);
  let rest = count;
  for (let at = (index + 1) * bytes - 1; at >= index * bytes; at--) {
    block[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Sets the refcounts of `[from, to)`, which must be 0, to 1. */
export function fillOnes(block: Uint8Array, order: number, from: number, to: number): void {
  if (order < 3) {
    for (let index = from; index < to; index++) setRefcount(block, order, index, 1);
    return;
  }
  const bytes = 1 << (order - 3);
  for (let at = (from + 1) * bytes - 1; at < to * bytes; at += bytes) block[at] = 1;
}

function wordAt(block: Uint8Array, at: number): number {
  return (block[at]! << 24 | block[at + 1]! << 16 | block[at + 2]! << 8 | block[at + 3]!) >>> 0;
}
