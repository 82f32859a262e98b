/**
 * A backing chain as one disk. Formats return single layers; only this module merges them.
 *
 * @module
 */
import {
  andThen,
  type Disk,
  type Extent,
  type GuestReader,
  holeExtent,
  type Location,
  type MaybePromise,
  zeroExtent,
} from "../../formats/mod.ts";

/**
 * Returns a disk and its backing chain, top layer first, as one reader.
 *
 * Extents come from the first `kept` layers: where all of them have a hole, the chain has a hole. With all layers kept
 * there are no holes: bytes that no layer states are zero. `read` reads through all layers in any case. A layer that is
 * shorter than the one above it reads as zero past its end.
 *
 * @example
 * ```ts
 * import { chainOf } from "./chain.ts";
 * import assert from "node:assert/strict";
 *
 * const empty = chainOf([]);
 * assert.equal(empty.size, 0);
 * ```
 */
export function chainOf(layers: readonly Disk[], kept: number = layers.length): GuestReader {
  const all = layers.length;
  return {
    size: layers[0]?.size ?? 0,
    clusterSize: Math.max(1, ...layers.map((layer) => layer.clusterSize)),
    extentAt: (start, limit) => andThen(layerExtentAt(layers, kept, start, limit), ({ extent }) => extent),
    async readCompressed(room, start, end) {
      const { extent, disk } = await layerExtentAt(layers, all, start, end);
      if (extent.kind !== "data" || !extent.compressed || extent.end < end) return null;
      return await disk?.readCompressed?.(room, start, end) ?? null;
    },
    async read(into, start) {
      const end = start + into.length;
      for (let at = start; at < end;) {
        const { extent, disk } = await layerExtentAt(layers, all, at, end);
        const part = into.subarray(at - start, extent.end - start);
        if (disk) await readLayer(disk, part, at);
        else part.fill(0);
        at = extent.end;
      }
    },
  };
}

async function readLayer(disk: Disk, into: Uint8Array, start: number): Promise<void> {
  try {
    await disk.read(into, start);
  } catch (error) {
    const { withMissingBytes } = await import("./missing_bytes.ts");
    throw await withMissingBytes(error, disk);
  }
}

/** An extent of a chain, and the layer that it comes from. */
export interface LayerExtent {
  readonly extent: Extent;
  /** Index of the layer that states it, 0 the top; where no layer states it, of the last one that was looked up. */
  readonly depth: number;
  /** Whether that layer states it; if not, the extent is a hole or, behind the last layer, zero. */
  readonly stated: boolean;
  /** That layer, where the extent is data. */
  readonly disk?: Disk;
}

/** Returns the extent at `start` of the first of `layers` that states one; `kept` as in {@linkcode chainOf}. */
export function layerExtentAt(
  layers: readonly Disk[],
  kept: number,
  start: number,
  limit: number,
): MaybePromise<LayerExtent> {
  return descend({ layers, kept, start }, 0, limit, undefined);
}

/** One look-up in a chain. */
interface Lookup {
  readonly layers: readonly Disk[];
  readonly kept: number;
  readonly start: number;
}

/**
 * Looks up layer `depth` and those behind it; the layers above have a hole up to `end`.
 *
 * @param location the space that the layer above has allocated for its hole
 */
function descend(lookup: Lookup, depth: number, end: number, location?: Location): MaybePromise<LayerExtent> {
  const { layers, kept, start } = lookup;
  if (depth < layers.length && depth === kept) return { extent: holeExtent(start, end), depth, stated: false };
  const disk = layers[depth];
  if (depth === layers.length || start >= disk.size) {
    return { extent: zeroExtent(start, end, location), depth: Math.max(0, depth - 1), stated: false };
  }
  return andThen(disk.extentAt(start, Math.min(end, disk.size)), (extent) => {
    if (extent.kind === "hole") return descend(lookup, depth + 1, extent.end, extent.location);
    return extent.kind === "data" ? { extent, depth, stated: true, disk } : { extent, depth, stated: true };
  });
}
