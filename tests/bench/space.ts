/**
 * Whether there is room for what a case makes.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { sizeText } from "./results.ts";

/** Nothing is measured on a disk that is full to the brim. */
const RESERVE = 1 << 30;

/** Why `needed` bytes are too many for this folder; null where there is room. */
export function lackOfSpace(folder: string, needed: number): string | null {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= needed + RESERVE) return null;
  return `it needs about ${sizeText(needed)}, and ${sizeText(free)} are free`;
}
