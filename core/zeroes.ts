/**
 * Finds zeroes inside data.
 *
 * @module
 */
import { alignDown, equalBytes, zeroes } from "../formats/bytes.ts";

/** The rule of zero detection. Both in bytes. */
export interface ZeroRule {
  /** Blocks of this size, aligned in guest bytes, are zero or data as a whole. A power of two. */
  readonly grid: number;
  /** Zeroes between data that are shorter than this count as data. */
  readonly least: number;
}

/** Guest bytes `[start, end)` of a buffer that are all zero, or data. */
export interface BufferSpan {
  readonly zero: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * Returns whether all bytes in `[from, end)` are zero. Stops at the first MiB that is not.
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
  // Most data differs from zero in one of these bytes, and comparing them costs less than a call into native code.
  if (bytes[from] !== 0 || bytes[(from + end) >>> 1] !== 0 || bytes[end - 1] !== 0) return false;
  for (let at = from; at < end;) {
    const compared = zeroes(Math.min(end - at, 1 << 20));
    if (!equalBytes(bytes.subarray(at, at + compared.length), compared)) return false;
    at += compared.length;
  }
  return true;
}

/**
 * Splits a buffer that starts at guest byte `start` into spans of zeroes and of data, which alternate. Zeroes between data
 * that are shorter than `rule.least` are data. At the ends of the buffer zeroes of any length count, because the bytes
 * beyond are unknown. Pure.
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
export function splitZeroes(bytes: Uint8Array, start: number, rule: ZeroRule): BufferSpan[] {
  const end = start + bytes.length;
  const spans: BufferSpan[] = [];
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
    // Too short between data: part of the data span before.
    if (zero && spans.length > 0 && at - begun < rule.least) begun = spans.pop()!.start;
    else {
      spans.push({ zero, start: begun, end: at });
      begun = at;
    }
    zero = blockZero;
  }
  if (begun < end) spans.push({ zero, start: begun, end });
  return spans;
}
