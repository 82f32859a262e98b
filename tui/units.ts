/**
 * Numbers for people. Pure.
 *
 * @module
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/**
 * Bytes in a clusterSize that suits them.
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

/** A short time of one piece: 0.4 ms, 31 ms, 2.1 s. */
export function shortTimeText(seconds: number): string {
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

/** A part of a whole in percent, without decimals; never 100 before it is whole. */
export function percentText(part: number, whole: number): string {
  if (whole <= 0) return "0 %";
  return `${part >= whole ? 100 : Math.min(99, Math.floor(100 * part / whole))} %`;
}
