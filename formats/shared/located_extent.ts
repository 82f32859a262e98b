/**
 * Extents of allocated blocks, split at the holes of the file.
 *
 * @module
 */
import { dataExtent, type Extent } from "../extent.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import type { Storage } from "../storage/types.ts";

/**
 * Returns the extent of guest bytes `[start, end)` at file offset `offset` of `storage`, or of the first of them: data, or
 * unwritten zeroes where the file has a hole. Bytes past the end of a truncated file are data that is missing.
 *
 * @example
 * ```ts
 * import { locatedExtent } from "./located_extent.ts";
 * import { dataExtent } from "../extent.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * // Storage in memory has no `holeAt`.
 * const storage = new MemoryStorage();
 * assert.deepEqual(locatedExtent(storage, 0, 512, 4096), dataExtent(0, 512, { storage, offset: 4096 }));
 * ```
 */
export function locatedExtent(storage: Storage, start: number, end: number, offset: number): MaybePromise<Extent> {
  const fileEnd = Math.min(offset + end - start, storage.size);
  if (!storage.holeAt || fileEnd <= offset) return dataExtent(start, end, { storage, offset });
  return andThen(storage.holeAt(offset, fileEnd), (found): Extent => {
    const extentEnd = start + found.end - offset;
    if (!found.hole) return dataExtent(start, extentEnd, { storage, offset });
    return { kind: "zero", start, end: extentEnd, location: { storage, offset }, unwritten: true };
  });
}
