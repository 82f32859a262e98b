/**
 * Skips read errors: ranges that cannot be read become zeroes and are reported.
 *
 * @module
 */
import {
  alignDown,
  alignUp,
  dataExtent,
  type Disk,
  type GuestReader,
  ImageError,
  type Location,
  missingIn,
} from "../../formats/mod.ts";
import { forward } from "./readers.ts";

/** Smallest range that becomes zeroes, in bytes. */
const SECTOR = 512;

/** Bytes that are taken as data where the look-up of an extent fails. */
const UNKNOWN_BYTES = 64 << 10;

/** Guest bytes `[start, end)`. */
export interface GuestRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Returns `reader` with zeroes in place of bytes that cannot be read.
 *
 * @param granularity bytes of the smallest cluster, see {@linkcode granularityOf}: where the fault is in a table or in a
 * compressed cluster, trying each sector would recover nothing, and take hours on a large disk
 * @param onBad called with each range of guest bytes that became zeroes
 *
 * @example
 * ```ts
 * import { skippingErrors } from "./skip_errors.ts";
 * import { ImageError } from "../../formats/mod.ts";
 * import assert from "node:assert/strict";
 *
 * const broken = {
 *   size: 512,
 *   clusterSize: 1,
 *   extentAt: () => Promise.reject(new ImageError("io", "Cannot read")),
 *   read: () => Promise.reject(new ImageError("io", "Cannot read")),
 * };
 * const bad: number[] = [];
 * const bytes = new Uint8Array(512).fill(1);
 * await skippingErrors(broken, 512, (start, end) => bad.push(start, end)).read(bytes, 0);
 * assert.deepEqual(bad, [0, 512]);
 * assert.equal(bytes[0], 0);
 * ```
 */
export function skippingErrors(
  reader: GuestReader,
  granularity: number,
  onBad: (start: number, end: number, message: string) => void,
): GuestReader {
  const unknownBytes = Math.max(UNKNOWN_BYTES, granularity);

  /** Returns how far the bytes from `start` on are all in the file, or all past the end of a truncated file. */
  async function partAt(start: number, limit: number): Promise<{ end: number; missing: Location | null }> {
    for (let at = start; at < limit;) {
      try {
        const extent = await reader.extentAt(at, limit);
        const lost = missingIn(extent);
        if (lost > 0 && lost < extent.end - at) return { end: extent.end - lost, missing: null };
        if (lost > 0) return at === start ? { end: extent.end, missing: extent.location! } : { end: at, missing: null };
        at = extent.end;
      } catch (error) {
        if (!isBad(error)) throw error;
        at = Math.min(limit, alignDown(at, unknownBytes) + unknownBytes);
      }
    }
    return { end: limit, missing: null };
  }

  const readParts = async (into: Uint8Array, start: number): Promise<void> => {
    const end = start + into.length;
    for (let at = start; at < end;) {
      const part = await partAt(at, end);
      const bytes = into.subarray(at - start, part.end - start);
      if (part.missing) {
        const { label, size } = part.missing.storage;
        bytes.fill(0);
        onBad(at, part.end, `"${label}" is cut off at byte ${size}`);
      } else await read(bytes, at);
      at = part.end;
    }
  };

  const read = async (into: Uint8Array, start: number): Promise<void> => {
    try {
      await reader.read(into, start);
    } catch (error) {
      if (!isBad(error)) throw error;
      const end = start + into.length;
      if (into.length <= SECTOR || await failsWhole(reader, granularity, start, end)) {
        const present = putPrefix(error.prefix, into, start);
        into.fill(0, present);
        if (present < into.length) onBad(start + present, end, error.message);
        return;
      }
      const cut = middleOf(start, end, into.length > granularity ? granularity : SECTOR) - start;
      await read(into.subarray(0, cut), start);
      await read(into.subarray(cut), start + cut);
    }
  };
  return forward(reader, {
    // Without a location, every byte goes through `read`.
    async extentAt(start, limit) {
      try {
        const { location: _, ...extent } = await reader.extentAt(start, limit);
        return extent;
      } catch (error) {
        if (!isBad(error)) throw error;
        return dataExtent(start, Math.min(limit, alignDown(start, unknownBytes) + unknownBytes));
      }
    },
    read: readParts,
    readCompressed: () => Promise.resolve(null),
  });
}

/** Puts the bytes of a cluster that could be read into `into`, which begins at guest byte `start`; returns their number. */
function putPrefix(prefix: ImageError["prefix"], into: Uint8Array, start: number): number {
  if (prefix === undefined || start < prefix.start) return 0;
  const bytes = prefix.bytes.subarray(start - prefix.start, start - prefix.start + into.length);
  into.set(bytes);
  return bytes.length;
}

/** Returns the smallest cluster size of `layers`: a fault in a table entry or a compressed cluster affects so many bytes. */
export function granularityOf(layers: readonly Pick<Disk, "clusterSize">[]): number {
  const sizes = layers.map(({ clusterSize }) => clusterSize).filter((size) => size > SECTOR);
  const hasSmall = layers.some(({ clusterSize }) => clusterSize > 1 && clusterSize <= SECTOR);
  return hasSmall || sizes.length === 0 ? SECTOR : Math.min(...sizes);
}

/** Returns `ranges` sorted, those that touch or overlap merged. */
export function mergedRanges(ranges: readonly GuestRange[]): GuestRange[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** Returns a multiple of `alignment` inside `[start, end)`, near the middle; the range is longer than `alignment`. */
function middleOf(start: number, end: number, alignment: number): number {
  const middle = alignDown(start + Math.floor((end - start) / 2), alignment);
  return middle > start ? middle : alignUp(start + 1, alignment);
}

/** Returns whether an unreadable range fails as a whole: its look-up fails, or it is inside one compressed cluster. */
async function failsWhole(reader: GuestReader, granularity: number, start: number, end: number): Promise<boolean> {
  if (end > alignDown(start, granularity) + granularity) return false;
  try {
    const extent = await reader.extentAt(start, end);
    return extent.kind === "data" && extent.compressed && extent.end >= end;
  } catch (error) {
    if (isBad(error)) return true;
    throw error;
  }
}

function isBad(error: unknown): error is ImageError {
  return error instanceof ImageError && error.kind !== "cancelled";
}
