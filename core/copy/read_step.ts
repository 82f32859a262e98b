/**
 * Reads guest bytes of a step. Extents with a location are read from their file, without another look-up in the image's
 * tables; small ones that lie near each other in the file are read with one request.
 *
 * @module
 */
import type { Extent, GuestReader, Storage } from "../../formats/mod.ts";
import { extentIndexIn, locatedEnd, type Step } from "./plan.ts";

/** Extents shorter than this are read together: a request costs as much as so many bytes, or more. */
const SMALL = 32 << 10;

/** Most bytes of the file between two extents that are read together. */
const GAP = 8 << 10;

/** Most bytes of the file in one request for several extents. */
const SPAN = 1 << 20;

/** Fills `into` with the guest bytes of `step` from `start` on. */
export async function readStep(
  source: GuestReader,
  step: Pick<Step, "extents">,
  start: number,
  into: Uint8Array,
): Promise<void> {
  const end = start + into.length;
  const { extents } = step;
  let index = extentIndexIn(step, start);
  for (let at = start; at < end; index++) {
    const extent = extents[index];
    const partEnd = Math.min(extent.end, end);
    const part = into.subarray(at - start, partEnd - start);
    if (extent.kind === "zero") part.fill(0);
    else if (isLocated(extent, partEnd)) {
      const last = partEnd - at < SMALL ? lastNear(extents, index, end) : index;
      if (last > index && await readTogether(extents, index, last, at, into.subarray(at - start))) {
        index = last;
        at = Math.min(extents[last].end, end);
        continue;
      }
      const { storage, offset } = extent.location;
      await storage.readAt(part, offset + at - extent.start);
    } else {
      // Only the source can read this: one call up to the next extent that it need not read.
      while (index + 1 < extents.length && extents[index].end < end && isUnlocated(extents[index + 1])) index++;
      const restEnd = Math.min(extents[index].end, end);
      await source.read(into.subarray(at - start, restEnd - start), at);
      at = restEnd;
      continue;
    }
    at = partEnd;
  }
}

/** An extent with a location. */
type Located = Extent & { readonly location: { readonly storage: Storage; readonly offset: number } };

/** Returns whether `extent` is data that lies in its file up to guest byte `end`. */
function isLocated(extent: Extent, end: number): extent is Located {
  return extent.kind === "data" && extent.location !== undefined && end <= locatedEnd(extent);
}

function isUnlocated({ kind, location }: Extent): boolean {
  return kind === "data" && !location;
}

/** Returns the index of the last extent of data before guest byte `end` that is read together with `extents[first]`. */
function lastNear(extents: readonly Extent[], first: number, end: number): number {
  const { storage, offset } = extents[first].location!;
  let last = first;
  let fileEnd = offset + extents[first].end - extents[first].start;
  for (let index = first + 1; index < extents.length && extents[index].start < end; index++) {
    const extent = extents[index];
    if (extent.kind === "zero") continue;
    const length = extent.end - extent.start;
    if (length >= SMALL || !isLocated(extent, extent.end) || extent.location.storage !== storage) break;
    const gap = extent.location.offset - fileEnd;
    fileEnd = extent.location.offset + length;
    if (gap < 0 || gap > GAP || fileEnd - offset > SPAN) break;
    last = index;
  }
  return last;
}

/**
 * Fills `into` with the guest bytes from `at` on, inside `extents[first]`, up to the end of `extents[last]`, as far as they
 * fit; returns false where the file between the extents cannot be read.
 */
async function readTogether(
  extents: readonly Extent[],
  first: number,
  last: number,
  at: number,
  into: Uint8Array,
): Promise<boolean> {
  const { storage, offset: firstOffset } = extents[first].location!;
  const fileStart = firstOffset + at - extents[first].start;
  const lastExtent = extents[last];
  const guestEnd = Math.min(lastExtent.end, at + into.length);
  const fileLength = lastExtent.location!.offset + guestEnd - lastExtent.start - fileStart;
  // Where guest bytes and file have the same gaps, the bytes need not be moved.
  const inPlace = isInPlace(extents, first, last);
  const bytes = inPlace ? into.subarray(0, guestEnd - at) : new Uint8Array(fileLength);
  try {
    await storage.readAt(bytes, fileStart);
  } catch {
    return false;
  }
  for (let index = first; index <= last; index++) {
    const { kind, location, start, end } = extents[index];
    const [from, to] = [Math.max(start, at) - at, Math.min(end, guestEnd) - at];
    if (kind === "zero") into.fill(0, from, to);
    else if (!inPlace) {
      const offset = location!.offset + from + at - start - fileStart;
      into.set(bytes.subarray(offset, offset + to - from), from);
    }
  }
  return true;
}

function isInPlace(extents: readonly Extent[], first: number, last: number): boolean {
  const shift = extents[first].location!.offset - extents[first].start;
  for (let index = first + 1; index <= last; index++) {
    const { kind, location, start } = extents[index];
    if (kind === "data" && location!.offset - start !== shift) return false;
  }
  return true;
}
