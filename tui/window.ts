/**
 * Escape sequences for the window around the screen: its title, the progress in its tab or task bar, the background. Pure.
 *
 * @module
 */
import { visible } from "./human.ts";
import type { Model } from "./model.ts";
import { percent } from "./progress.ts";

/** Keeps the title of the window, and asks for the colour of its background. */
export const ENTER_WINDOW = "\x1b[22;2t\x1b]11;?\x1b\\";
/** Removes the progress and restores the title. */
export const LEAVE_WINDOW = "\x1b]9;4;0;\x1b\\\x1b[23;2t";

/** Bytes between these appear at once in terminals with synchronized output (mode 2026). */
export const BEGIN_FRAME = "\x1b[?2026h";
/** See {@linkcode BEGIN_FRAME}. */
export const END_FRAME = "\x1b[?2026l";

/** Returns the title and the progress of a state; OSC 9;4 has states for a running, a failed and a paused job. */
export function windowText(model: Model): string {
  const { job: { target }, paused, stopping, result, progress } = model;
  const done = Math.floor(percent(progress));
  const word = result ? (result.ok ? "done" : "failed") : paused ? `paused at ${done} %` : `${done} %`;
  const name = visible(target.split("/").at(-1) ?? target);
  const state = result ? (result.ok ? "0;" : "2;100") : paused || stopping ? `4;${done}` : `1;${done}`;
  return `\x1b]2;${word} ${name} - diskcast\x1b\\\x1b]9;4;${state}\x1b\\`;
}

/**
 * Returns whether the background is light, from the answer of a terminal; `undefined` for another text.
 *
 * @example
 * ```ts
 * import { isLight } from "./window.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(isLight("11;rgb:ffff/ffff/f0f0"), true);
 * assert.equal(isLight("11;rgb:1e/1e/2e"), false);
 * assert.equal(isLight("52;c;?"), undefined);
 * ```
 */
export function isLight(answer: string): boolean | undefined {
  const match = /^11;rgba?:([\da-f]{1,4})\/([\da-f]{1,4})\/([\da-f]{1,4})/i.exec(answer);
  if (match === null) return undefined;
  const [red, green, blue] = match.slice(1).map((hex) => Number.parseInt(hex, 16) / (16 ** hex.length - 1));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 0.5;
}

/** Returns a bell and a notification of the desktop: OSC 9 (iTerm2, kitty, WezTerm, Ghostty) and OSC 777 (urxvt, foot). */
export function notification(text: string): string {
  const shown = visible(text).replaceAll(";", ",");
  return `\x07\x1b]9;${shown}\x1b\\\x1b]777;notify;diskcast;${shown}\x1b\\`;
}
