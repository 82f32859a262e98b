/**
 * From one frame to the next with as few bytes as that takes. Pure.
 *
 * @module
 */

/** Goes to the alternate buffer, hides the cursor, and keeps long lines from wrapping. */
export const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/** Takes all of that back. */
export const LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/**
 * What turns a screen that shows `before` into one that shows `after`. `null`: nothing is known of what it shows. The last
 * row is always written, so that the cursor rests on it: Deno wipes the cursor's line, and all beneath it, whenever it
 * loads a module or starts a worker.
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
