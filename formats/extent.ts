/**
 * Extents: ranges of guest bytes of one status, with their locations. The functions here clip and join them, so that no
 * other module needs such arithmetic of its own.
 *
 * @module
 */
import { alignDown } from "./bytes.ts";
import { ImageError } from "./errors.ts";
import type { MaybePromise } from "./maybe_promise.ts";
import type { Storage } from "./storage/types.ts";

/** A position in a file. */
export interface Location {
  /** The file. */
  readonly storage: Storage;
  /** File offset in bytes. */
  readonly offset: number;
}

/**
 * Guest bytes `[start, end)` of one layer, all of one status.
 *
 * - `data`: the layer holds the bytes; `compressed` where they must be decompressed
 * - `zero`: the layer states that the bytes are zero
 * - `hole`: the layer holds nothing: the backing file shows, or zeroes where there is none
 */
export type Extent =
  & {
    /** First guest byte. */
    readonly start: number;
    /** Guest byte after the last. */
    readonly end: number;
    /**
     * The location of the extent, which is uncompressed and contiguous there: a located extent ends where the file stops
     * being contiguous. Zeroes and holes have a location where the layer has allocated space for them. Data
     * of a located extent that lies past the end of its file is missing: the file was truncated, and reading it fails. Absent: only the layer can read the extent.
     */
    readonly location?: Location;
  }
  & (
    | { readonly kind: "data"; readonly compressed: boolean }
    /** `unwritten`: the layer has allocated data here, and the file has a hole at its location. */
    | { readonly kind: "zero"; readonly unwritten?: true }
    | { readonly kind: "hole" }
  );

/** The status of an extent. */
export type ExtentKind = Extent["kind"];

/** Returns an extent of uncompressed data. */
export function dataExtent(start: number, end: number, location?: Location): Extent {
  return location === undefined
    ? { start, end, kind: "data", compressed: false }
    : { start, end, kind: "data", compressed: false, location };
}

/** Returns an extent of compressed data. */
export function compressedExtent(start: number, end: number): Extent {
  return { start, end, kind: "data", compressed: true };
}

/** Returns an extent that the layer states to be zero. */
export function zeroExtent(start: number, end: number, location?: Location): Extent {
  return location === undefined ? { start, end, kind: "zero" } : { start, end, kind: "zero", location };
}

/** Returns an extent of which the layer holds nothing. */
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

/** Returns `extent` moved by `distance` guest bytes; its location stays. */
export function shiftExtent(extent: Extent, distance: number): Extent {
  return distance === 0 ? extent : { ...extent, start: extent.start + distance, end: extent.end + distance };
}

/** Returns whether two extents have the same status, compression included. */
export function sameStatus(a: Extent, b: Extent): boolean {
  return a.kind === b.kind && (a.kind !== "data" || b.kind !== "data" || a.compressed === b.compressed);
}

/** Returns whether two extents, the second of which begins where the first ends, are contiguous in one file. */
export function isContiguous({ start, end, location }: Extent, next: Extent): boolean {
  const after = next.location;
  if (location === undefined || after === undefined) return false;
  return after.offset === location.offset + (end - start) && after.storage === location.storage;
}

/**
 * Returns one extent for two of the same status, the second of which begins where the first ends. It has a location where
 * both are contiguous in the file.
 */
export function joinExtents(a: Extent, b: Extent): Extent {
  if (isContiguous(a, b)) return { ...a, end: b.end };
  const { location: _, ...rest } = a;
  return { ...rest, end: b.end };
}

/** Returns the number of bytes at the end of `extent` that its file lacks. */
export function missingIn({ kind, start, end, location }: Extent): number {
  if (kind !== "data" || !location) return 0;
  return Math.max(0, end - start - Math.max(0, location.storage.size - location.offset));
}

/** Guest bytes that count as missing where the look-up of an extent fails, at least. */
const UNKNOWN_BYTES = 64 << 10;
/** After so many look-ups that fail, missing bytes are no longer counted. */
const MOST_FAILURES = 10_000;

/** Guest bytes of a layer that its file lacks. */
export interface Missing {
  readonly bytes: number;
  /** Whether all of them were counted. */
  readonly isComplete: boolean;
}

/** The members of a disk that {@linkcode missingBytesOf} calls. */
interface Layer {
  readonly size: number;
  readonly clusterSize: number;
  extentAt(start: number, limit: number): MaybePromise<Extent>;
}

/** Counts the guest bytes of a layer that its file lacks, or that its tables do not locate. */
export async function missingBytesOf(disk: Layer): Promise<Missing> {
  const step = Math.max(UNKNOWN_BYTES, disk.clusterSize);
  let bytes = 0;
  let failures = 0;
  for (let at = 0; at < disk.size;) {
    try {
      const extent = await disk.extentAt(at, disk.size);
      bytes += missingIn(extent);
      at = extent.end;
    } catch (error) {
      if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
      if (++failures > MOST_FAILURES) return { bytes, isComplete: false };
      const end = Math.min(alignDown(at, step) + step, disk.size);
      bytes += end - at;
      at = end;
    }
  }
  return { bytes, isComplete: true };
}

/** Formats a number of missing guest bytes, and how to copy the others. */
export function missingText(bytes: number, isComplete = true): string {
  return `${isComplete ? "" : "at least "}${bytes} bytes of the disk are missing in all; ` +
    `"convert --salvage" copies the others, with zeroes in their place`;
}
