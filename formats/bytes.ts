/**
 * Bytes and numbers: rounding, and the fields of an image as numbers.
 *
 * @module
 */
import { corrupt } from "./errors.ts";

/** Bytes of a sector, in every format here. */
export const SECTOR = 512;

/** Bytes of a mebibyte. */
export const MIB = 1 << 20;

/** Returns `value` rounded down to a multiple of `unit`. Exact up to 2^53. */
export function alignDown(value: number, unit: number): number {
  return value - value % unit;
}

/** Returns `value` rounded up to a multiple of `unit`. Exact up to 2^53. */
export function alignUp(value: number, unit: number): number {
  const rest = value % unit;
  return rest === 0 ? value : value - rest + unit;
}

/** Returns `value / divisor`, rounded up: the number of clusters, blocks or sectors that `value` bytes need. */
export function ceilDiv(value: number, divisor: number): number {
  return Math.ceil(value / divisor);
}

/** Returns whether `value` is a power of two, from 1 on. Exact up to 2^53. */
export function isPowerOfTwo(value: number): boolean {
  if (!Number.isSafeInteger(value) || value < 1) return false;
  while (value % 2 === 0) value /= 2;
  return value === 1;
}

/** Returns a view of `bytes` for reading and writing fields, without a copy. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Returns an unsigned 64-bit field as a number.
 *
 * @throws ImageError `corrupt` above 2^53 - 1: no size or offset of a real image is that large.
 *
 * @example
 * ```ts
 * import { u64 } from "./bytes.ts";
 * import assert from "node:assert/strict";
 *
 * const view = new DataView(new Uint8Array([0, 0, 0, 1, 0, 0, 0, 2]).buffer);
 * assert.equal(u64(view, 0), 2 ** 32 + 2);
 * ```
 */
export function u64(view: DataView, at: number, littleEndian = false): number {
  const high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  if (high > 0x1fffff) {
    throw corrupt(`Cannot use the 64-bit field at byte ${at} of its structure: it is above 2^53 - 1`);
  }
  return high * 2 ** 32 + low;
}

/** Writes a number as an unsigned 64-bit field. `value` is a whole number from 0 to 2^53 - 1. */
export function setU64(view: DataView, at: number, value: number, littleEndian = false): void {
  const high = Math.floor(value / 2 ** 32);
  view.setUint32(littleEndian ? at + 4 : at, high, littleEndian);
  view.setUint32(littleEndian ? at : at + 4, value >>> 0, littleEndian);
}

const ZEROES = new Uint8Array(1 << 20);

/** Returns a shared buffer of zeroes, of at most 1 MiB. Callers must not write to it. */
export function zeroes(length: number): Uint8Array {
  return ZEROES.subarray(0, length);
}

let compareBytes: typeof Buffer.compare | undefined;

/**
 * Returns whether both hold the same bytes. The first call takes about as long as converting a small image, because the
 * global `Buffer` loads much of Node on first use; later calls compare 30 GB/s.
 */
export function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  compareBytes ??= Buffer.compare;
  return compareBytes(one, other) === 0;
}

/** Returns bytes as text: ASCII is kept, all else becomes `?`, and the text ends at the first zero byte. */
export function asciiText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0) break;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "?";
  }
  return text;
}

/** Returns a function that allocates successive parts of `room`, and new memory once `room` is used up. */
export function bufferAllocator(room: Uint8Array): (length: number) => Uint8Array {
  let taken = 0;
  return (length) => {
    if (taken + length > room.length) return new Uint8Array(length);
    return room.subarray(taken, taken += length);
  };
}
