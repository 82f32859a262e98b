/**
 * Runs of guest bytes that lie plainly in a file, which the host may know better than the image does.
 *
 * @module
 */
import type { MaybePromise } from "../maybe_promise.ts";
import { dataExtent, type Extent } from "../extent.ts";
import type { Storage } from "../storage/types.ts";

/**
 * The run of guest bytes from `start` on, to `end` at most, whose place in `storage` begins at `fileStart`: data, or,
 * where the host has a hole there, zeroes that were never written. What the file is too short for is like its end.
 *
 * @example
 * ```ts
 * import { locatedExtent } from "./located_extent.ts";
 * import { dataExtent } from "../extent.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * // Memory cannot tell holes.
 * assert.deepEqual(locatedExtent(new MemoryStorage(), 0, 512, 4096), dataExtent(0, 512, false, 4096));
 * ```
 */
export function locatedExtent(storage: Storage, start: number, end: number, fileStart: number): MaybePromise<Extent> {
  const fileEnd = Math.min(fileStart + end - start, storage.size);
  if (!storage.holeAt || fileEnd <= fileStart) return dataExtent(start, end, false, fileStart);
  return storage.holeAt(fileStart, fileEnd).then((found): Extent => {
    const runEnd = found.end === fileEnd ? end : start + found.end - fileStart;
    if (!found.hole) return dataExtent(start, runEnd, false, fileStart);
    return { kind: "zero", start, end: runEnd, fileStart, unfilled: true };
  });
}
