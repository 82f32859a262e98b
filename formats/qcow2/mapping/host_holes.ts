/**
 * Allocated clusters that were never written. In an image with preallocated metadata every guest cluster is mapped to a
 * hole of the host file. Reported as data, all of it would be read.
 *
 * @module
 */
import { andThen, type MaybePromise } from "../../maybe_promise.ts";
import type { Extent } from "../../extent.ts";
import { locatedExtent } from "../../shared/located_extent.ts";
import type { Storage } from "../../storage/types.ts";

/** Number of extents of the file to examine before it counts as a file without large holes. */
const EXTENTS_MAX = 16;
/** Minimum size of a large hole, in clusters. A smaller one is a partly written cluster, not preallocation. */
const LARGE_HOLE_CLUSTERS = 4;

/** Shortens an extent of uncompressed data to the first extent of the host file: data, or a hole, which is zero. */
export type SplitAtHoles = (extent: Extent) => MaybePromise<Extent>;

/**
 * Returns a {@linkcode SplitAtHoles} for clusters in `data`, or null where the host cannot report holes. Each answer
 * costs a system call, so only files with a large hole are asked.
 */
export function hostHoleSplitter(data: Storage, clusterSize: number): SplitAtHoles | null {
  const holeAt = data.holeAt?.bind(data);
  if (holeAt === undefined) return null;
  let hasHoles: MaybePromise<boolean> | null = null;
  return (extent) => {
    hasHoles ??= hasLargeHole(holeAt, data.size, clusterSize * LARGE_HOLE_CLUSTERS).then((found) => hasHoles = found);
    return andThen(
      hasHoles,
      (found) =>
        found && extent.location ? locatedExtent(data, extent.start, extent.end, extent.location.offset) : extent,
    );
  };
}

async function hasLargeHole(holeAt: NonNullable<Storage["holeAt"]>, size: number, minSize: number): Promise<boolean> {
  let at = 0;
  for (let count = 0; count < EXTENTS_MAX && at < size; count++) {
    const found = await holeAt(at, size);
    if (found.hole && found.end - at >= minSize) return true;
    at = found.end;
  }
  return false;
}
