/**
 * GUIDs as VHDX stores them: the first three fields little-endian. As text: lower case, with dashes, without braces.
 *
 * @module
 */

/** What `LogGuid` is when the log is empty. */
export const NO_GUID = "00000000-0000-0000-0000-000000000000";

/** Place in the bytes of each byte of the text. */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** The GUID at `at`. */
export function guidAt(bytes: Uint8Array, at: number): string {
  const hex = ORDER.map((place) => bytes[at + place].toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * Writes `guid` at `at`.
 *
 * @example
 * ```ts
 * import { guidAt, setGuid } from "./guid.ts";
 * import assert from "node:assert/strict";
 *
 * const bytes = new Uint8Array(16);
 * setGuid(bytes, 0, "2dc27766-f623-4200-9d64-115e9bfd4a08");
 * assert.deepEqual([...bytes.subarray(0, 6)], [0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6]);
 * assert.equal(guidAt(bytes, 0), "2dc27766-f623-4200-9d64-115e9bfd4a08");
 * ```
 */
export function setGuid(bytes: Uint8Array, at: number, guid: string): void {
  const hex = guid.replaceAll("-", "");
  ORDER.forEach((place, index) => bytes[at + place] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16));
}

/** A GUID from text, with or without braces, in any case; `null` for other text. */
export function parseGuid(text: string): string | null {
  const found = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i.exec(text.trim());
  return found ? found[1].toLowerCase() : null;
}
