/**
 * UUIDs: sixteen bytes and their text. Formats differ in the byte order of the first three fields.
 *
 * @module
 */

/** The length of a UUID in bytes. */
export const UUID_BYTES = 16;

/** Where the bytes of the text lie when the first three fields are little-endian. */
const MIXED = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** How the first three fields of a UUID are stored: `big` as in RFC 4122, `mixed` with their low byte first. */
export type UuidOrder = "big" | "mixed";

/**
 * The usual text of a UUID, in lower case.
 *
 * @example
 * ```ts
 * import { uuidText } from "./uuid.ts";
 * import assert from "node:assert/strict";
 *
 * const bytes = Uint8Array.from({ length: 16 }, (_, index) => index);
 * assert.equal(uuidText(bytes, "big"), "00010203-0405-0607-0809-0a0b0c0d0e0f");
 * assert.equal(uuidText(bytes, "mixed"), "03020100-0504-0706-0809-0a0b0c0d0e0f");
 * ```
 */
export function uuidText(bytes: Uint8Array, order: UuidOrder): string {
  const hex = MIXED.map((place, index) => bytes[order === "mixed" ? place : index].toString(16).padStart(2, "0"));
  const part = (from: number, to: number) => hex.slice(from, to).join("");
  return [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join("-");
}

/** Whether all bytes are zero, which stands for no UUID. */
export function isNilUuid(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** A new random UUID (version 4), stored in the given order. */
export function randomUuid(order: UuidOrder): Uint8Array {
  const hex = crypto.randomUUID().replaceAll("-", "");
  const big = Uint8Array.from({ length: UUID_BYTES }, (_, index) => parseInt(hex.slice(index * 2, index * 2 + 2), 16));
  return order === "big" ? big : Uint8Array.from(MIXED, (place) => big[place]);
}
