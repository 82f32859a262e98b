/**
 * Clusters that are allocated but were never written: an image with preallocated metadata maps every guest cluster to
 * a hole of the host file. Seen as data, all of it would be read; the host knows better.
 *
 * @module
 */
import { andThen, type MaybePromise } from "../../maybe_promise.ts";
import { dataExtent, type Extent } from "../../extent.ts";
import type { Storage } from "../../storage/types.ts";
import { hostOffsetOf } from "./l2_entry.ts";
import { entryAt, l2PlaceAt, type Mapping } from "./mapping.ts";

/** How many extents of the file are looked at before it counts as one without holes. */
const EXTENTS_ASKED = 16;
/** A hole of fewer clusters is a cluster that was written in part, and no sign of preallocation. */
const CLUSTERS_OF_A_HOLE = 4;

/** Shortens a data run of decompressed clusters to what the host has at its start: data, or a hole, which is zero. */
export type Narrow = (run: Extent) => MaybePromise<Extent>;

/**
 * A {@linkcode Narrow} for the clusters that lie in `data`, or null where the host cannot tell. Asking costs a call and
 * cuts runs where host clusters are not neighbours, so it is done only for a file with large holes.
 */
export function narrowing(mapping: Mapping, data: Storage): Narrow | null {
  const holeAt = data.holeAt?.bind(data);
  if (holeAt === undefined) return null;
  const narrow = async (run: Extent): Promise<Extent> => {
    const span = await hostSpan(mapping, run);
    const limit = Math.min(span.fileOffset + span.length, data.size);
    if (limit <= span.fileOffset) return run;
    const found = await holeAt(span.fileOffset, limit);
    const end = run.start + (found.end - span.fileOffset);
    if (!found.hole) return dataExtent(run.start, end, false, span.fileOffset);
    return { start: run.start, end, kind: "zero", unfilled: true, fileStart: span.fileOffset };
  };
  let worthwhile: MaybePromise<boolean> | null = null;
  return (run) => {
    worthwhile ??= hasLargeHole(holeAt, data.size, mapping.geometry.clusterSize * CLUSTERS_OF_A_HOLE)
      .then((found) => worthwhile = found);
    return andThen(worthwhile, (found) => found ? narrow(run) : run);
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

/** Host clusters that are neighbours; lengths in bytes. */
interface HostSpan {
  readonly fileOffset: number;
  readonly length: number;
}

/** How far host clusters are neighbours from the start of a data run on; the run lies within one L2 table. */
function hostSpan(mapping: Mapping, run: Extent): MaybePromise<HostSpan> {
  const place = l2PlaceAt(mapping, run.start);
  if (place === 0) return { fileOffset: 0, length: 0 };
  return mapping.tables.look(place, ({ view }) => hostSpanIn(mapping, view, run));
}

function hostSpanIn({ geometry }: Mapping, table: DataView, run: Extent): HostSpan {
  const hostOf = (guest: number): number => {
    const entry = entryAt(geometry, table, guest);
    return hostOffsetOf(entry.high, entry.low) + guest % geometry.clusterSize;
  };
  const fileOffset = hostOf(run.start);
  let guest = run.start - run.start % geometry.clusterSize + geometry.clusterSize;
  while (guest < run.end && hostOf(guest) === fileOffset + (guest - run.start)) guest += geometry.clusterSize;
  return { fileOffset, length: Math.min(guest, run.end) - run.start };
}
