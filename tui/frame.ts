/**
 * Escape sequences that turn one frame into the next, with as few bytes as possible. Pure.
 *
 * @module
 */

/** Switches to the alternate screen, hides the cursor and turns line wrapping off. */
export const ENTER_SCREEN = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/** Reverts {@linkcode ENTER_SCREEN}. */
export const LEAVE_SCREEN = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/**
 * Returns the text that turns a screen with the lines `before` into one with the lines `after`. `null`: the content of
 * the screen is unknown. The last row is always written, so that the cursor stays on it: Deno clears the cursor's line,
 * and all lines after it, whenever it loads a module or starts a worker.
 *
 * @example
 * ```ts
 * import { difference } from "./frame.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(difference(["a", "b"], ["a", "c"]), "\x1b[2;1H\x1b[2Kc");
 * assert.equal(difference(["a", "b"], ["a", "b"]), "\x1b[2;1H\x1b[2Kb");
 * ```
 */
export function difference(before: readonly string[] | null, after: readonly string[]): string {
  let text = before === null ? "\x1b[0m\x1b[2J" : "";
  const rows = Math.max(before?.length ?? 0, after.length);
  for (let row = 0; row < rows; row++) {
    const line = after[row] ?? "";
    if (row < rows - 1 && line === (before === null ? "" : before[row] ?? "")) continue;
    text += `\x1b[${row + 1};1H\x1b[2K${line}`;
  }
  return text;
}
