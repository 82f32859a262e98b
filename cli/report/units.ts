/**
 * Numbers for people. Pure.
 *
 * @module
 */

export { bytesText, timeText } from "../../tui/units.ts";

/** Bytes as an option takes them: 65536 as 64k, where a suffix says it exactly. */
export function sizeText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value > 0 && value % 1024 === 0 && unit < 6; unit++) value /= 1024;
  return `${value}${["", "k", "M", "G", "T", "P", "E"][unit]}`;
}
