/**
 * Several extents as one disk that is written.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import type { DiskWriter, FixedLocation, WriterTraits } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { shiftExtent } from "../extent.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { ExtentWriter } from "./grain_writer.ts";

/** An extent in its place. */
export interface WritingPart {
  /** Guest bytes of the disk, `[start, end)`. */
  readonly start: number;
  readonly end: number;
  /** Its positions count from `start`. */
  readonly writer: ExtentWriter;
}

/** What {@linkcode writerOf} puts together. */
export type WriterParts = Omit<WriterTraits, "sector"> & {
  readonly parts: readonly WritingPart[];
  /** Before the first change. */
  readonly begin?: () => Promise<void>;
  /** After all extents have finished. */
  readonly finish?: () => Promise<void>;
};

/** The disk of these extents. */
export function writerOf({ parts, begin, finish, ...traits }: WriterParts): DiskWriter {
  let begun: Promise<void> | undefined;

  async function each(
    start: number,
    end: number,
    change: (writer: ExtentWriter, from: number, to: number, shift: number) => Promise<void>,
  ): Promise<void> {
    if (end <= start) return;
    if (begin) await (begun ??= begin());
    for (const part of parts) {
      if (part.end <= start || part.start >= end) continue;
      const [from, to] = [Math.max(start, part.start), Math.min(end, part.end)];
      await change(part.writer, from, to, part.start);
    }
  }

  return {
    traits: { ...traits, sector: SECTOR },
    write: (bytes, start) =>
      each(
        start,
        start + bytes.length,
        (writer, from, to, shift) => writer.write(bytes.subarray(from - start, to - start), from - shift),
      ),
    ...(!begin && parts.every(({ writer }) => writer.flat) &&
      { locationFor: (start: number) => placeIn(parts, start) }),
    zero: (start, end) => each(start, end, (writer, from, to, shift) => writer.zero(from - shift, to - shift)),
    async finish() {
      for (const { writer } of parts) await writer.finish();
      await finish?.();
    },
  };
}

/** Where the guest byte `at` lies; all parts are flat. */
function placeIn(parts: readonly WritingPart[], at: number): FixedLocation {
  const { writer, start, end } = parts.find((part) => part.end > at)!;
  const { storage, offset } = writer.flat!;
  return { storage, offset: offset + at - start, end };
}

/** Writes into a file that holds its guest bytes one after another, from `fileOffset` on. */
export function flatWriter(storage: WritableStorage, fileOffset: number): ExtentWriter {
  return {
    write: (from, start) => storage.writeAt(from, fileOffset + start),
    zero: (start, end) => storage.zeroAt(fileOffset + start, fileOffset + end),
    flat: { storage, offset: fileOffset },
    finish: () => Promise.resolve(),
  };
}

/** Returns the backing file from guest byte `by` on; null where it is not as long. */
export function backingFrom(backing: GuestReader, by: number): GuestReader | null {
  if (by === 0) return backing;
  if (by >= backing.size) return null;
  return {
    size: backing.size - by,
    clusterSize: backing.clusterSize,
    async extentAt(start, limit) {
      return shiftExtent(await backing.extentAt(start + by, limit + by), -by);
    },
    read: (into, start) => backing.read(into, start + by),
  };
}
