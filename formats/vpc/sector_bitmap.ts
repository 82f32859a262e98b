/**
 * Sector bitmaps: one bit for each sector of a block, the most significant bit of a byte first. A sector whose bit is
 * clear was never written, and reads as the parent. Pure.
 *
 * @module
 */

/** Returns whether the bit of `sector` is set. */
export function isSet(bitmap: Uint8Array, sector: number): boolean {
  return (bitmap[sector >> 3] & (0x80 >> (sector & 7))) !== 0;
}

/**
 * Returns the first sector from `sector` on, before `end`, whose bit differs from that of `sector`; `end` if there is
 * none.
 *
 * @example
 * ```ts
 * import { sameBitsEnd } from "./sector_bitmap.ts";
 * import assert from "node:assert/strict";
 *
 * const bitmap = new Uint8Array([0xff, 0xf0]);
 * assert.equal(sameBitsEnd(bitmap, 0, 16), 12);
 * assert.equal(sameBitsEnd(bitmap, 12, 16), 16);
 * ```
 */
export function sameBitsEnd(bitmap: Uint8Array, sector: number, end: number): number {
  const set = isSet(bitmap, sector);
  const whole = set ? 0xff : 0;
  let at = sector;
  while (at < end) {
    if ((at & 7) === 0 && bitmap[at >> 3] === whole) at += 8;
    else if (isSet(bitmap, at) === set) at++;
    else return at;
  }
  return end;
}

/** Sets the bits of the sectors `[sector, end)`. Returns whether any of them was not set. */
export function setBits(bitmap: Uint8Array, sector: number, end: number): boolean {
  let changed = false;
  for (let at = sector; at < end;) {
    const whole = (at & 7) === 0 && at + 8 <= end;
    const mask = whole ? 0xff : 0x80 >> (at & 7);
    changed ||= (bitmap[at >> 3] & mask) !== mask;
    bitmap[at >> 3] |= mask;
    at += whole ? 8 : 1;
  }
  return changed;
}
