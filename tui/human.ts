/**
 * Values as text for people: sizes, durations, percentages, a bar, names that come from images. Pure.
 *
 * @module
 */

const BINARY_PREFIXES = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/**
 * Formats bytes with one decimal.
 *
 * @example
 * ```ts
 * import { bytesText } from "./human.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(bytesText(512), "512 B");
 * assert.equal(bytesText(1536), "1.5 KiB");
 * ```
 */
export function bytesText(bytes: number): string {
  // From 1023.95 on, one decimal would make it 1024.0.
  const [value, power] = scaled(bytes, 1023.95, 5);
  return power === 0 ? `${Math.round(value)} B` : `${value.toFixed(1)} ${BINARY_PREFIXES[power]}B`;
}

/**
 * Formats bytes with three digits, as the results of qemu-img have them.
 *
 * @example
 * ```ts
 * import { threeDigits } from "./human.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(threeDigits(417792), "408 KiB");
 * assert.equal(threeDigits(1310720), "1.25 MiB");
 * assert.equal(threeDigits(1000), "0.977 KiB");
 * ```
 */
export function threeDigits(bytes: number): string {
  // From 1000 on, not from 1024: there are three digits only.
  const [value, power] = scaled(bytes, 1000, 6);
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return `${Number(halfEven(value, decimals))} ${BINARY_PREFIXES[power]}B`;
}

/**
 * Formats a number with `decimals` digits after the point. A tie is rounded to the even digit, as in C; `toFixed` rounds it
 * up.
 *
 * @example
 * ```ts
 * import { halfEven } from "./human.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([halfEven(3.125, 2), halfEven(3.375, 2)], ["3.12", "3.38"]);
 * ```
 */
export function halfEven(value: number, decimals: number): string {
  const scaled = value * 10 ** decimals;
  const below = Math.floor(scaled);
  // A binary number is a tie only if it ends with this bit; the product is then exact.
  const isTie = Number.isInteger(value * 2 ** (decimals + 1)) && scaled - below === 0.5;
  return isTie && below % 2 === 0 ? (below / 10 ** decimals).toFixed(decimals) : value.toFixed(decimals);
}

/** Formats bytes with three digits and exactly: `408 KiB (417792 bytes)`. */
export function bothSizes(bytes: number): string {
  return `${threeDigits(bytes)} (${bytes} bytes)`;
}

/** Divides by 1024 until `value` is below `limit`; the result and how often. */
function scaled(value: number, limit: number, mostPower: number): [value: number, power: number] {
  let power = 0;
  for (; value >= limit && power < mostPower; power++) value /= 1024;
  return [value, power];
}

/** Formats bytes as an option takes them: 65536 as `64k`, where a suffix gives the exact number. */
export function sizeText(bytes: number): string {
  let power = 0;
  let value = bytes;
  for (; value > 0 && value % 1024 === 0 && power < 6; power++) value /= 1024;
  return `${value}${["", "k", "M", "G", "T", "P", "E"][power]}`;
}

/** Formats seconds as a clock does: `0:05`, `12:34`, `1:02:03`. */
export function timeText(seconds: number): string {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  const text = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return hours > 0 ? `${hours}:${text}` : text.replace(/^0/, "");
}

/** Formats the seconds of a single operation: `0.4 ms`, `31 ms`, `2.1 s`. */
export function shortTimeText(seconds: number): string {
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

/** Formats seconds in words: `45 seconds`, `3 minutes`, `2 hours`. */
export function durationText(seconds: number): string {
  const [length, name] = seconds < 90 ? [1, "second"] : seconds < 5400 ? [60, "minute"] : [3600, "hour"];
  const count = Math.max(1, Math.round(seconds / length));
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** Formats `part` of `whole` in percent, without decimals; never 100 before `part` reaches `whole`. */
export function percentText(part: number, whole: number): string {
  if (whole <= 0) return "0 %";
  return `${part >= whole ? 100 : Math.min(99, Math.floor(100 * part / whole))} %`;
}

/** Returns a bar of `columns` characters of which `share`, from 0 to 1, is filled. */
export function barText(
  share: number,
  columns: number,
  { full, empty }: { readonly full: string; readonly empty: string },
): string {
  const filled = Math.floor(Math.max(0, Math.min(1, share)) * columns);
  return full.repeat(filled) + empty.repeat(columns - filled);
}

/**
 * Escapes control characters, so that a file name or a text from an image cannot control the terminal.
 *
 * @example
 * ```ts
 * import { visible } from "./human.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(visible("a\x1b[31mb"), "a\\u{1b}[31mb");
 * ```
 */
export function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (control) => `\\u{${control.codePointAt(0)!.toString(16)}}`,
  );
}
