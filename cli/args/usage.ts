/**
 * Errors of usage, with suggestions. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Format } from "../../mod.ts";

/** Returns an error of kind `usage`, about the file `path` where it is given. */
export function usageError(message: string, path?: string): ImageError {
  return new ImageError("usage", message, path === undefined ? {} : { path });
}

/**
 * Returns the format with the given name.
 *
 * @param option The option that names it, for the message.
 * @throws ImageError `usage`, with a suggestion, where there is none
 */
export function formatOfOption(name: string, formats: readonly Format[], option: string): Format {
  const format = formats.find((one) => one.name === name);
  if (format !== undefined) return format;
  const names = formats.map((one) => one.name);
  const near = formats.find((one) => one.extensions.includes(name.toLowerCase()))?.name ?? nearest(name, names);
  const suggestion = near === undefined ? "" : `; did you mean "${near}"?`;
  throw usageError(`Unknown format "${name}" in ${option}: it must be ${names.join(", ")}${suggestion}`);
}

/**
 * Returns the candidate that is most like `word`, if one is like enough: at most two letters differ, and less than half
 * of them.
 *
 * @example
 * ```ts
 * import { nearest } from "./usage.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(nearest("qcwo2", ["raw", "qcow2"]), "qcow2");
 * assert.equal(nearest("xyz", ["raw", "qcow2"]), undefined);
 * ```
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let found: string | undefined;
  let least = Math.min(2, Math.ceil(word.length / 2) - 1) + 1;
  for (const candidate of candidates) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    if (edits < least) [least, found] = [edits, candidate];
  }
  return found;
}

/** Counts the letters to insert, delete, change or swap with their neighbour to turn one word into the other. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
