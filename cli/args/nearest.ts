/**
 * "Did you mean": the nearest of some words. Pure.
 *
 * @module
 */

/** How many letters must be put in, taken out, changed or swapped with their neighbour to get from one to the other. */
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

/**
 * The word nearest to `word`, if one is near enough: at most two letters away, and less than half of it.
 *
 * @example
 * ```ts
 * import { nearest } from "./nearest.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(nearest("qcwo2", ["raw", "qcow2"]), "qcow2");
 * assert.equal(nearest("xyz", ["raw", "qcow2"]), undefined);
 * ```
 */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let found: string | undefined;
  let least = Math.min(2, Math.ceil(word.length / 2) - 1) + 1;
  for (const one of words) {
    const far = distance(word.toLowerCase(), one.toLowerCase());
    if (far < least) [least, found] = [far, one];
  }
  return found;
}
