/**
 * Zeroes inside data: where they are worth a hole.
 *
 * @module
 */
import { alignDown, equalBytes, zeroes } from "../formats/bytes.ts";

/** Which zeroes count. Both in bytes. */
export interface ZeroRule {
  /** Blocks of this size, on a grid of guest positions, are zero or not as a whole. A power of two. */
  readonly grid: number;
  /** Between data, zeroes shorter than this count as data. */
  readonly least: number;
}

/** A part of a buffer, `[start, end)` in guest bytes. */
export interface Part {
  readonly zero: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * Whether all bytes, or those in `[from, end)`, are zero. Reads each byte at most once, and stops at the first that is not.
 *
 * @example
 * ```ts
 * import { isZero } from "./zeroes.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(isZero(new Uint8Array(4096)), true);
 * assert.equal(isZero(new Uint8Array([0, 1])), false);
 * ```
 */
export function isZero(bytes: Uint8Array, from: number = 0, end: number = bytes.length): boolean {
  if (from >= end) return true;
  // Most blocks that are not zero show it at once: a call into native code costs more than these looks.
  if (bytes[from] !== 0 || bytes[(from + end) >>> 1] !== 0 || bytes[end - 1] !== 0) return false;
  for (let at = from; at < end;) {
    const compared = zeroes(Math.min(end - at, 1 << 20));
    if (!equalBytes(bytes.subarray(at, at + compared.length), compared)) return false;
    at += compared.length;
  }
  return true;
}

/**
 * Splits a buffer that begins at guest byte `start` into parts that are zero and parts that are not. Adjacent parts
 * differ, except that zeroes shorter than `rule.least` between data have become data; at the ends of the buffer zeroes
 * of any length count, because what lies behind is not known. Pure.
 *
 * @example
 * ```ts
 * import { splitZeroes } from "./zeroes.ts";
 * import assert from "node:assert/strict";
 *
 * const bytes = new Uint8Array(8192).fill(1, 0, 10);
 * assert.deepEqual(splitZeroes(bytes, 0, { grid: 4096, least: 4096 }), [
 *   { zero: false, start: 0, end: 4096 },
 *   { zero: true, start: 4096, end: 8192 },
 * ]);
 * ```
 */
export function splitZeroes(bytes: Uint8Array, start: number, rule: ZeroRule): Part[] {
  const end = start + bytes.length;
  const parts: Part[] = [];
  let begun = start;
  let zero = false;
  for (
    let at = start, blockEnd = alignDown(start, rule.grid) + rule.grid;
    at < end;
    at = blockEnd, blockEnd += rule.grid
  ) {
    const blockZero = isZero(bytes, at - start, Math.min(blockEnd, end) - start);
    if (at === start) zero = blockZero;
    if (blockZero === zero) continue;
    // Too short between data: the data before goes on.
    if (zero && parts.length > 0 && at - begun < rule.least) begun = parts.pop()!.start;
    else {
      parts.push({ zero, start: begun, end: at });
      begun = at;
    }
    zero = blockZero;
  }
  if (begun < end) parts.push({ zero, start: begun, end });
  return parts;
}
