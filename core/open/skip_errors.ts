/**
 * Reading what can be read: parts that fail become zeroes and are told.
 *
 * @module
 */
import { alignDown, alignUp, dataExtent, type Disk, type GuestReader, ImageError } from "../../formats/mod.ts";
import { forward } from "./readers.ts";

/** Nothing smaller than this is given up alone, in bytes. */
const SECTOR = 512;

/** Where even the status cannot be found out, this much at a time is taken for data. */
const BLIND = 64 << 10;

/** A part of the guest's bytes, `[start, end)`. */
export interface GuestRange {
  readonly start: number;
  readonly end: number;
}

/**
 * `reader`, except that what cannot be read is zero. `onBad` hears of every part that became zeroes, in guest bytes.
 *
 * @param grain bytes that tables and compressed clusters stand for at least, see {@linkcode granularityOf}: where the fault is
 * theirs, looking into every sector would find nothing, and take hours on a large disk
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
  grain: number,
  onBad: (start: number, end: number, message: string) => void,
): GuestReader {
  const blind = Math.max(BLIND, grain);
  const read = async (into: Uint8Array, start: number): Promise<void> => {
    try {
      await reader.read(into, start);
    } catch (error) {
      if (!isBad(error)) throw error;
      const end = start + into.length;
      if (into.length <= SECTOR || await failsWhole(reader, grain, start, end)) {
        into.fill(0);
        onBad(start, end, error.message);
        return;
      }
      const cut = middleOf(start, end, into.length > grain ? grain : SECTOR) - start;
      await read(into.subarray(0, cut), start);
      await read(into.subarray(cut), start + cut);
    }
  };
  return forward(reader, {
    // Without a location: every byte must go through `read`.
    async extentAt(start, limit) {
      try {
        const { location: _, ...extent } = await reader.extentAt(start, limit);
        return extent;
      } catch (error) {
        if (!isBad(error)) throw error;
        return dataExtent(start, Math.min(limit, alignDown(start, blind) + blind));
      }
    },
    read,
    readCompressed: () => Promise.resolve(null),
  });
}

/** The least clusterSize of `layers`: what is wrong with a table entry or a compressed clusterSize is wrong for that much at least. */
export function granularityOf(layers: readonly Pick<Disk, "clusterSize">[]): number {
  const units = layers.map(({ clusterSize: unit }) => unit).filter((unit) => unit > SECTOR);
  const small = layers.some(({ clusterSize: unit }) => unit > 1 && unit <= SECTOR);
  return small || units.length === 0 ? SECTOR : Math.min(...units);
}

/** `ranges` in order, those that touch as one. */
export function mergedRanges(ranges: readonly GuestRange[]): GuestRange[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** A multiple of `clusterSize` inside `[start, end)`, which is longer than `clusterSize`; near the middle. */
function middleOf(start: number, end: number, unit: number): number {
  const middle = alignDown(start + Math.floor((end - start) / 2), unit);
  return middle > start ? middle : alignUp(start + 1, unit);
}

/** Whether `[start, end)`, which cannot be read, fails as one: its status is unknown, or it lies in one compressed clusterSize. */
async function failsWhole(reader: GuestReader, grain: number, start: number, end: number): Promise<boolean> {
  if (end > alignDown(start, grain) + grain) return false;
  try {
    const run = await reader.extentAt(start, end);
    return run.kind === "data" && run.compressed && run.end >= end;
  } catch (error) {
    if (isBad(error)) return true;
    throw error;
  }
}

function isBad(error: unknown): error is ImageError {
  return error instanceof ImageError && error.kind !== "cancelled";
}
