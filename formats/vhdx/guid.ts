/**
 * GUIDs as VHDX stores them: the first three fields little-endian. As text: lower case, with dashes, without braces.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { UUID_BYTES, uuidText } from "../shared/uuid.ts";

/** What `LogGuid` is when the log is empty. */
export const NO_GUID = "00000000-0000-0000-0000-000000000000";

/** The GUID at `at`. */
export function guidAt(bytes: Uint8Array, at: number): string {
  return uuidText(bytes.subarray(at, at + UUID_BYTES), "mixed");
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
  const view = viewOf(bytes);
  const [first, second, third, ...rest] = guid.split("-");
  view.setUint32(at, Number.parseInt(first, 16), true);
  view.setUint16(at + 4, Number.parseInt(second, 16), true);
  view.setUint16(at + 6, Number.parseInt(third, 16), true);
  view.setBigUint64(at + 8, BigInt(`0x${rest.join("")}`));
}

/** A GUID from text, with or without braces, in any case; `null` for other text. */
export function parseGuid(text: string): string | null {
  const found = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i.exec(text.trim());
  return found ? found[1].toLowerCase() : null;
}
