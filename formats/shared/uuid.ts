/**
 * UUIDs (GUIDs): sixteen bytes and their text. Formats differ in the byte order of the first three fields.
 *
 * @module
 */

/** The length of a UUID in bytes. */
export const UUID_BYTES = 16;

/** The text of sixteen zero bytes, which stand for no UUID. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** The position of each byte of the text when the first three fields are little-endian. */
const MIXED = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** The byte order of the first three fields: `big` as in RFC 4122, `mixed` with their low byte first. */
export type UuidOrder = "big" | "mixed";

/**
 * Returns the usual text of a UUID, in lower case, with dashes, without braces.
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
  const hex = MIXED.map((mixed, index) => bytes[order === "mixed" ? mixed : index].toString(16).padStart(2, "0"));
  const field = (from: number, to: number) => hex.slice(from, to).join("");
  return [field(0, 4), field(4, 6), field(6, 8), field(8, 10), field(10, 16)].join("-");
}

/** Returns the text of the UUID at byte `at`. */
export function uuidAt(bytes: Uint8Array, at: number, order: UuidOrder): string {
  return uuidText(bytes.subarray(at, at + UUID_BYTES), order);
}

/**
 * Writes the UUID with the text `uuid` at byte `at`.
 *
 * @example
 * ```ts
 * import { setUuid, uuidAt } from "./uuid.ts";
 * import assert from "node:assert/strict";
 *
 * const bytes = new Uint8Array(16);
 * setUuid(bytes, 0, "2dc27766-f623-4200-9d64-115e9bfd4a08", "mixed");
 * assert.deepEqual([...bytes.subarray(0, 6)], [0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6]);
 * assert.equal(uuidAt(bytes, 0, "mixed"), "2dc27766-f623-4200-9d64-115e9bfd4a08");
 * ```
 */
export function setUuid(bytes: Uint8Array, at: number, uuid: string, order: UuidOrder): void {
  const hex = uuid.replaceAll("-", "");
  const big = Uint8Array.from({ length: UUID_BYTES }, (_, index) => parseInt(hex.slice(index * 2, index * 2 + 2), 16));
  bytes.set(order === "big" ? big : Uint8Array.from(MIXED, (index) => big[index]), at);
}

/** Returns the UUID of a text with or without braces, in any case; `null` for any other text. */
export function parseUuid(text: string): string | null {
  const found = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i.exec(text.trim());
  return found ? found[1].toLowerCase() : null;
}

/** Returns whether all bytes are zero, which stands for no UUID. */
export function isNilUuid(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Returns a new random UUID (version 4), in the given byte order. */
export function randomUuid(order: UuidOrder): Uint8Array {
  const bytes = new Uint8Array(UUID_BYTES);
  setUuid(bytes, 0, crypto.randomUUID(), order);
  return bytes;
}
