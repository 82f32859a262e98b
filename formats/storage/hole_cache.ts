/**
 * Answers of the host about holes, kept as far as the hole or the data reaches. A host that walks the pages of a file
 * (tmpfs) takes as long for one look-up as the data is long: without these answers, thousands of look-ups inside one
 * extent of the file would each walk to its end.
 *
 * @module
 */
import type { HoleStatus } from "./host.ts";

/** Extents of one file that are kept, the one that was used last first. */
const KEPT = 16;

/** Bytes `[start, end)` of a file that are all in one hole, or all data. */
interface FileExtent extends HoleStatus {
  readonly start: number;
}

/** Cached look-ups of holes. All positions are file offsets. */
export interface HoleCache {
  /** As `holeAt` of `HostFile`. */
  holeAt(fileOffset: number, limit: number): HoleStatus | null;
  /** Drops the holes in `[start, end)`, which was written. */
  wrote(start: number, end: number): void;
  /** Drops the data in `[start, end)`, which may have become a hole. */
  zeroed(start: number, end: number): void;
  /** Drops everything. */
  clear(): void;
}

/**
 * Returns a cache.
 *
 * @param look asks the host; null where it refuses
 * @param size returns the bytes of the file: an answer is kept up to its end
 *
 * @example
 * ```ts
 * import { holeCache } from "./hole_cache.ts";
 * import assert from "node:assert/strict";
 *
 * let lookups = 0;
 * const cache = holeCache((_at, limit) => (lookups++, { hole: false, end: limit }), () => 4096);
 * assert.deepEqual(cache.holeAt(0, 512), { hole: false, end: 512 });
 * assert.deepEqual(cache.holeAt(512, 4096), { hole: false, end: 4096 });
 * assert.equal(lookups, 1);
 * ```
 */
export function holeCache(look: HoleCache["holeAt"], size: () => number): HoleCache {
  let kept: FileExtent[] = [];

  function extentAt(start: number, limit: number): FileExtent | null {
    const found = look(start, limit);
    return found && { start, ...found };
  }

  /**
   * Extends data towards the start of the file, by its own length, where the host has just walked over data that was
   * known: blocks that lie in descending order are then found with a number of walks that grows with the logarithm.
   */
  function extendedBack(found: FileExtent): FileExtent {
    const repeated = kept.some(({ hole, start, end }) => !hole && start > found.start && end === found.end);
    if (found.hole || !repeated || found.start === 0) return found;
    const back = extentAt(Math.max(0, 2 * found.start - found.end), found.end);
    return back && !back.hole && back.end === found.end ? back : found;
  }

  function lookUp(fileOffset: number, limit: number): FileExtent | null {
    const found = extentAt(fileOffset, limit);
    // Nothing is kept past the end of the file as it was opened; there the caller's limit is the answer.
    if (!found || found.end > size()) return found;
    const extent = extendedBack(found);
    kept = [extent, ...kept.filter(({ start, end }) => start < extent.start || end > extent.end)].slice(0, KEPT);
    return extent;
  }

  const drop = (hole: boolean) => (start: number, end: number) => {
    if (kept.length > 0) {
      kept = kept.filter((extent) => extent.hole !== hole || extent.end <= start || extent.start >= end);
    }
  };
  return {
    holeAt(fileOffset, limit) {
      const index = kept.findIndex(({ start, end }) => start <= fileOffset && fileOffset < end);
      if (index > 0) kept.unshift(...kept.splice(index, 1));
      const found = index < 0 ? lookUp(fileOffset, Math.max(limit, size())) : kept[0];
      return found && { hole: found.hole, end: Math.min(found.end, limit) };
    },
    wrote: drop(true),
    zeroed: drop(false),
    clear: () => kept = [],
  };
}
