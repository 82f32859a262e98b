/**
 * JSON for standard output. Pure.
 *
 * @module
 */

/** What JSON leaves as it is, though a terminal acts on it: DEL, C1 controls, and marks that reorder text. */
const TERMINAL_CONTROLS = /[\x7f-\x9f\p{Bidi_Control}\u2028\u2029]/gu;

/**
 * Returns `value` as JSON, with every character that controls a terminal escaped: names in it come from images.
 *
 * @example
 * ```ts
 * import { jsonText } from "./json.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(jsonText({ name: "a\x9b31m\u202e" }), '{"name":"a\\u009b31m\\u202e"}');
 * ```
 */
export function jsonText(value: unknown, indent?: number): string {
  // Such characters stand in strings only, where \u escapes them.
  return JSON.stringify(value, null, indent).replace(
    TERMINAL_CONTROLS,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
