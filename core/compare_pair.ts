/**
 * Two disks side by side as one reader, whose extents say what each disk states.
 *
 * @module
 */
import { andThen, type Disk, type Extent, type GuestReader } from "../formats/mod.ts";
import { chainOf, type LayerExtent, layerExtentAt } from "./open/chain.ts";

/** One of the two disks; reads as zero past its end. */
export interface Side {
  readonly size: number;
  readonly layers: readonly Disk[];
  readonly reader: GuestReader;
}

/** Returns a disk and its backing chain, top layer first, as a side. */
export function sideOf(layers: readonly Disk[]): Side {
  const reader = chainOf(layers);
  return { size: reader.size, layers, reader };
}

/** Guest bytes of one status on either side; `data` where any side has data. */
export type PairExtent = Extent & { readonly one: LayerExtent; readonly other: LayerExtent };

/**
 * Returns two sides as one reader of the longer size, for walks; it reads nothing. Its extents are each a
 * {@linkcode PairExtent}.
 *
 * @param onLookup called before each look-up
 */
export function pairOf(one: Side, other: Side, onLookup: () => void): GuestReader {
  const sideAt = ({ layers }: Side, start: number, limit: number) => layerExtentAt(layers, layers.length, start, limit);
  return {
    size: Math.max(one.size, other.size),
    clusterSize: 1,
    extentAt(start, limit) {
      onLookup();
      return andThen(
        sideAt(one, start, limit),
        (first) => andThen(sideAt(other, start, first.extent.end), (second) => pairExtent(start, first, second)),
      );
    },
    read: () => Promise.reject(new Error("A pair of disks has no bytes of its own")),
  };
}

function pairExtent(start: number, one: LayerExtent, other: LayerExtent): PairExtent {
  const end = Math.min(one.extent.end, other.extent.end);
  const hasData = one.extent.kind === "data" || other.extent.kind === "data";
  return { start, end, ...(hasData ? { kind: "data", compressed: false } : { kind: "zero" }), one, other };
}

/** Returns the status of a side as strict comparing compares it. */
export function statusFlags({ extent, stated }: LayerExtent): string {
  const hasData = extent.kind === "data" || (extent.kind === "zero" && extent.unwritten === true);
  const isPlain = extent.kind === "data" ? !extent.compressed : extent.location !== undefined;
  return `${hasData} ${extent.kind !== "data"} ${stated} ${isPlain}`;
}
