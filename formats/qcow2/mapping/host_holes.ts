/**
 * Clusters that are allocated but were never written: an image with preallocated metadata maps every guest cluster to
 * a hole of the host file. Seen as data, all of it would be read; the host knows better.
 *
 * @module
 */
import { andThen, type MaybePromise } from "../../maybe_promise.ts";
import type { Extent } from "../../extent.ts";
import { locatedExtent } from "../../shared/located_extent.ts";
import type { Storage } from "../../storage/types.ts";

/** How many extents of the file are looked at before it counts as one without holes. */
const EXTENTS_ASKED = 16;
/** A hole of fewer clusters is a cluster that was written in part, and no sign of preallocation. */
const CLUSTERS_OF_A_HOLE = 4;

/** Shortens an extent of uncompressed data to what the host has at its start: data, or a hole, which is zero. */
export type SplitAtHoles = (extent: Extent) => MaybePromise<Extent>;

/**
 * A {@linkcode SplitAtHoles} for clusters that lie in `data`, or null where the host cannot tell holes. Each answer costs a
 * system call, so the host is asked only about a file with large holes.
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
