/**
 * Extents: guest bytes of one status, and where they lie. Pure helpers clip and join them in one place, so that neither a
 * format nor a layer above needs arithmetic of its own.
 *
 * @module
 */
import type { Storage } from "./storage/types.ts";

/** A place in a file. */
export interface Location {
  readonly storage: Storage;
  /** File offset in bytes. */
  readonly offset: number;
}

/**
 * Guest bytes `[start, end)` of one disk layer that read one way.
 *
 * - `data`: the layer holds them; `compressed` where they must be decompressed
 * - `zero`: the layer states that they are zero
 * - `hole`: the layer states nothing: the backing file shows, or zeroes where there is none
 */
export type Extent =
  & {
    /** First guest byte. */
    readonly start: number;
    /** Guest byte after the last. */
    readonly end: number;
    /**
     * Where the extent lies, uncompressed and in one piece: a located extent ends where the file stops being contiguous.
     * Zeroes and holes have a location where the layer has allocated space for them. The last bytes of a located extent
     * may lie past the end of a file that was cut off. Absent: only the layer can read the extent.
     */
    readonly location?: Location;
  }
  & (
    | { readonly kind: "data"; readonly compressed: boolean }
    /** `unwritten`: the layer has allocated data here, and the host shows a hole at its location. */
    | { readonly kind: "zero"; readonly unwritten?: true }
    | { readonly kind: "hole" }
  );

/** The status of an extent. */
export type ExtentKind = Extent["kind"];

/** Uncompressed data. */
export function dataExtent(start: number, end: number, location?: Location): Extent {
  return location === undefined
    ? { start, end, kind: "data", compressed: false }
    : { start, end, kind: "data", compressed: false, location };
}

/** Compressed data. */
export function compressedExtent(start: number, end: number): Extent {
  return { start, end, kind: "data", compressed: true };
}

/** Zeroes that the layer states. */
export function zeroExtent(start: number, end: number, location?: Location): Extent {
  return location === undefined ? { start, end, kind: "zero" } : { start, end, kind: "zero", location };
}

/** Guest bytes of which the layer states nothing. */
export function holeExtent(start: number, end: number, location?: Location): Extent {
  return location === undefined ? { start, end, kind: "hole" } : { start, end, kind: "hole", location };
}

/**
 * Returns the part of `extent` inside `[start, end)`; both must overlap.
 *
 * @example
 * ```ts
 * import { clipExtent, zeroExtent } from "./extent.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(clipExtent(zeroExtent(0, 100), 10, 20), zeroExtent(10, 20));
 * ```
 */
export function clipExtent(extent: Extent, start: number, end: number): Extent {
  if (extent.start >= start && extent.end <= end) return extent;
  const from = Math.max(extent.start, start);
  const { location } = extent;
  return {
    ...extent,
    start: from,
    end: Math.min(extent.end, end),
    ...(location && { location: { ...location, offset: location.offset + (from - extent.start) } }),
  };
}

/** Returns `extent` with all guest bytes `distance` further on; its location stays. */
export function shiftExtent(extent: Extent, distance: number): Extent {
  return distance === 0 ? extent : { ...extent, start: extent.start + distance, end: extent.end + distance };
}

/** Whether two extents have one status, compression included. */
export function sameStatus(a: Extent, b: Extent): boolean {
  return a.kind === b.kind && (a.kind !== "data" || b.kind !== "data" || a.compressed === b.compressed);
}

/** Whether two extents, the second beginning where the first ends, lie in one piece of a file. */
export function isContiguous({ start, end, location }: Extent, next: Extent): boolean {
  const after = next.location;
  if (location === undefined || after === undefined) return false;
  return after.offset === location.offset + (end - start) && after.storage === location.storage;
}

/** Joins two extents of one status, the second beginning where the first ends; located where both lie in one piece. */
export function joinExtents(a: Extent, b: Extent): Extent {
  if (isContiguous(a, b)) return { ...a, end: b.end };
  const { location: _, ...rest } = a;
  return { ...rest, end: b.end };
}
