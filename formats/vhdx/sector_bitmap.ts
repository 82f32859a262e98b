/**
 * Sector bitmaps ([MS-VHDX] 2.4): a set bit means that this file has the sector of a partially present block; the parent
 * shows in the others.
 *
 * @module
 */
import type { Geometry } from "./bat_layout.ts";

/** Bytes of a page of a bitmap, the unit of reads: the bits of the largest block with the smallest sectors. */
export const BITMAP_PAGE_BYTES = 64 << 10;

/** The location of the bits of a block. */
export interface BitLocation {
  /** File offset of the page. */
  readonly pageOffset: number;
  /** Index of the first bit of the block in the page. */
  readonly firstBit: number;
}

/** Returns the location of the bits of `block`; `bitmapAt` is the file offset of the bitmap of its chunk. */
export function bitLocationOf(geometry: Geometry, block: number, bitmapAt: number): BitLocation {
  const byte = block % geometry.chunkRatio * (geometry.blockSize / geometry.sectorSize / 8);
  const inPage = byte % BITMAP_PAGE_BYTES;
  return { pageOffset: bitmapAt + byte - inPage, firstBit: inPage * 8 };
}

/**
 * Returns the value of the bit `from`, and the index after the last consecutive bit of that value, at most `limit`.
 *
 * @example
 * ```ts
 * import { sameBits } from "./sector_bitmap.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(sameBits(new Uint8Array([0xf0, 0xff, 0x01]), 4, 24), { set: true, end: 17 });
 * ```
 */
export function sameBits(bytes: Uint8Array, from: number, limit: number): { set: boolean; end: number } {
  const set = bitAt(bytes, from);
  const whole = set ? 0xff : 0;
  let at = from + 1;
  while (at < limit) {
    if (at % 8 === 0 && bytes[at >> 3] === whole) at += 8;
    else if (bitAt(bytes, at) === set) at++;
    else break;
  }
  return { set, end: Math.min(at, limit) };
}

/** Returns one bit. */
export function bitAt(bytes: Uint8Array, bit: number): boolean {
  return (bytes[bit >> 3] >> (bit & 7) & 1) !== 0;
}

/** Sets the bits `[from, to)` to `value`. */
export function fillBits(bytes: Uint8Array, from: number, to: number, value: boolean): void {
  for (let at = from; at < to;) {
    if (at % 8 === 0 && to - at >= 8) {
      const end = to - to % 8;
      bytes.fill(value ? 0xff : 0, at >> 3, end >> 3);
      at = end;
      continue;
    }
    const mask = 1 << (at & 7);
    bytes[at >> 3] = value ? bytes[at >> 3] | mask : bytes[at >> 3] & ~mask;
    at++;
  }
}
