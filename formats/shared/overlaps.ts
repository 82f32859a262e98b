/**
 * Ranges of file bytes, and the search for those that overlap.
 *
 * @module
 */
import { MAX_PROBLEMS } from "../maintenance.ts";

/** The overlaps of a list of ranges. */
export interface Overlaps {
  /** Number of ranges that begin inside another one. */
  readonly count: number;
  /** File offsets where they begin, ascending; at most {@linkcode MAX_PROBLEMS}. */
  readonly starts: readonly number[];
}

/** A list of ranges. A large image has many millions: each takes sixteen bytes of memory. */
export interface FileRanges {
  /** Adds the file bytes `[start, end)`. */
  add(start: number, end: number): void;
  /** Returns the overlaps. Must be the last call. */
  overlaps(): Overlaps;
}

/**
 * Returns an empty list of ranges.
 *
 * @example
 * ```ts
 * import { fileRanges } from "./overlaps.ts";
 * import assert from "node:assert/strict";
 *
 * const ranges = fileRanges();
 * ranges.add(4096, 8192);
 * ranges.add(0, 4096);
 * ranges.add(6144, 10240);
 * assert.deepEqual(ranges.overlaps(), { count: 1, starts: [6144] });
 * ```
 */
export function fileRanges(): FileRanges {
  let [starts, ends] = [new Float64Array(1024), new Float64Array(1024)];
  let count = 0;
  return {
    add(start, end) {
      // A range that continues the last one is merged with it.
      if (count > 0 && ends[count - 1] === start) {
        ends[count - 1] = end;
        return;
      }
      if (count === starts.length) [starts, ends] = [longer(starts), longer(ends)];
      starts[count] = start;
      ends[count++] = end;
    },
    overlaps() {
      // Starts and ends are sorted separately: without overlaps, each end is at or before the next start.
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
