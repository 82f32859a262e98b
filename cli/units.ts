/**
 * Numbers for people. Pure.
 *
 * @module
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/**
 * Bytes in a unit that suits them.
 *
 * @example
 * ```ts
 * import { bytesText } from "./units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(bytesText(512), "512 B");
 * assert.equal(bytesText(1536), "1.5 KiB");
 * ```
 */
export function bytesText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  // 1023.95 and above would be shown as 1024.0.
  for (; value >= 1023.95 && unit < UNITS.length - 1; unit++) value /= 1024;
  return unit === 0 ? `${Math.round(value)} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** Seconds as 0:05, 12:34 or 1:02:03. */
export function timeText(seconds: number): string {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  const text = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return hours > 0 ? `${hours}:${text}` : text.replace(/^0/, "");
}

/** Bytes as an option takes them: 65536 as 64k, where a suffix says it exactly. */
export function sizeText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value > 0 && value % 1024 === 0 && unit < 6; unit++) value /= 1024;
  return `${value}${["", "k", "M", "G", "T", "P", "E"][unit]}`;
}
