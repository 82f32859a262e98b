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
const EXTENTS_ASKED = 16;
/** Minimum size of a large hole, in clusters. A smaller one is a partly written cluster, not preallocation. */
const CLUSTERS_OF_A_HOLE = 4;

/** Shortens an extent of uncompressed data to the first extent of the host file: data, or a hole, which is zero. */
export type SplitAtHoles = (extent: Extent) => MaybePromise<Extent>;

/**
 * Returns a {@linkcode SplitAtHoles} for clusters in `data`, or null where the host cannot report holes. Each answer
 * costs a system call, so only files with a large hole are asked.
 */
export function hostHoleSplitter(data: Storage, clusterSize: number): SplitAtHoles | null {
  const holeAt = data.holeAt?.bind(data);
  if (holeAt === undefined) return null;
  let worthwhile: MaybePromise<boolean> | null = null;
  return (extent) => {
    worthwhile ??= hasLargeHole(holeAt, data.size, clusterSize * CLUSTERS_OF_A_HOLE)
      .then((found) => worthwhile = found);
    return andThen(
      worthwhile,
      (found) =>
        found && extent.location ? locatedExtent(data, extent.start, extent.end, extent.location.offset) : extent,
    );
  };
}

async function hasLargeHole(holeAt: NonNullable<Storage["holeAt"]>, size: number, least: number): Promise<boolean> {
  let at = 0;
  for (let count = 0; count < EXTENTS_ASKED && at < size; count++) {
    const found = await holeAt(at, size);
    if (found.hole && found.end - at >= least) return true;
    at = found.end;
  }
  return false;
}
