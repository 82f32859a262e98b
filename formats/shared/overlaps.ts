/**
 * Places in a file, and those of them that lie over one another.
 *
 * @module
 */
import { MAX_PROBLEMS } from "../maintenance.ts";

/** Places in a file that lie over one another. */
export interface Overlaps {
  /** How often a place begins inside another one. */
  readonly count: number;
  /** Where, in rising order; of very many the first. */
  readonly starts: readonly number[];
}

/** Places in a file. A large image has many millions: they are held in sixteen bytes each. */
export interface FileRanges {
  /** Adds the file bytes `[start, end)`. */
  add(start: number, end: number): void;
  /** Those that overlap. The last call. */
  overlaps(): Overlaps;
}

/**
 * A list without places.
 *
 * @example
 * ```ts
 * import { fileRanges } from "./overlaps.ts";
 * import assert from "node:assert/strict";
 *
 * const places = fileRanges();
 * places.add(4096, 8192);
 * places.add(0, 4096);
 * places.add(6144, 10240);
 * assert.deepEqual(places.overlaps(), { count: 1, starts: [6144] });
 * ```
 */
export function fileRanges(): FileRanges {
  let [starts, ends] = [new Float64Array(1024), new Float64Array(1024)];
  let count = 0;
  return {
    add(start, end) {
      // What continues the last one is a part of it.
      if (count > 0 && ends[count - 1] === start) {
        ends[count - 1] = end;
        return;
      }
      if (count === starts.length) [starts, ends] = [longer(starts), longer(ends)];
      starts[count] = start;
      ends[count++] = end;
    },
    overlaps() {
      // Sorted apart from each other: where none overlap, the end of each is before the start of the next.
      const [sorted, sortedEnds] = [starts.subarray(0, count).sort(), ends.subarray(0, count).sort()];
      const found: number[] = [];
      let overlaps = 0;
      for (let at = 1; at < count; at++) {
        if (sorted[at] >= sortedEnds[at - 1]) continue;
        overlaps++;
        if (found.length < MAX_PROBLEMS) found.push(sorted[at]);
      }
      return { count: overlaps, starts: found };
    },
  };
}

function longer(numbers: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const more = new Float64Array(numbers.length * 2);
  more.set(numbers);
  return more;
}
