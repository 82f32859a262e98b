/**
 * Sector bitmaps ([MS-VHDX] 2.4): which sectors of a block that is present in part lie in this file. The others show
 * what is beneath.
 *
 * @module
 */
import type { Geometry } from "./bat_layout.ts";

/** Bitmaps are read in pieces of this length: the bits of the largest block of the smallest sectors. */
export const BITMAP_PIECE = 64 << 10;

/** Where the bits of a block stand. */
export interface BitsPlace {
  /** File offset of the piece. */
  readonly pieceAt: number;
  /** Number of the block's first bit in it. */
  readonly firstBit: number;
}

/** Where the bits of `block` stand, given its chunk's bitmap block. */
export function bitsOf(geometry: Geometry, block: number, bitmapAt: number): BitsPlace {
  const byte = block % geometry.chunkRatio * (geometry.blockSize / geometry.sectorSize / 8);
  const inPiece = byte % BITMAP_PIECE;
  return { pieceAt: bitmapAt + byte - inPiece, firstBit: inPiece * 8 };
}

/**
 * The value of the bit `from`, and where bits of that value end, at most at `limit`.
 *
 * @example
 * ```ts
 * import { bitRun } from "./sector_bitmap.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(bitRun(new Uint8Array([0xf0, 0xff, 0x01]), 4, 24), { set: true, end: 17 });
 * ```
 */
export function bitRun(bytes: Uint8Array, from: number, limit: number): { set: boolean; end: number } {
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

/** One bit. */
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
