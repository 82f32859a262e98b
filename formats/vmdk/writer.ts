/**
 * Combines the writers of extent files into the writer of a disk.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import type { DiskWriter, FixedLocation, WriterTraits } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { shiftExtent } from "../extent.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { ExtentFileWriter } from "./grain_writer.ts";

/** The writer of an extent file, and the guest bytes that it covers. */
export interface ExtentFileSpan {
  /** Guest bytes of the disk, `[start, end)`. */
  readonly start: number;
  readonly end: number;
  /** Its guest bytes count from `start`. */
  readonly writer: ExtentFileWriter;
}

/** Parameters of {@linkcode writerOf}. */
export type DiskWriterSetup = Omit<WriterTraits, "sector" | "logicalSectorSize"> & {
  readonly spans: readonly ExtentFileSpan[];
  /** Called before the first change. */
  readonly begin?: () => Promise<void>;
  /** Called after all extent files have finished. */
  readonly finish?: () => Promise<void>;
};

/** Returns the writer of a disk that consists of these extent files. */
export function writerOf({ spans, begin, finish, ...traits }: DiskWriterSetup): DiskWriter {
  let begun: Promise<void> | undefined;

  async function each(
    start: number,
    end: number,
    change: (writer: ExtentFileWriter, from: number, to: number, shift: number) => Promise<void>,
  ): Promise<void> {
    if (end <= start) return;
    if (begin) await (begun ??= begin());
    for (const span of spans) {
      if (span.end <= start || span.start >= end) continue;
      const [from, to] = [Math.max(start, span.start), Math.min(end, span.end)];
      await change(span.writer, from, to, span.start);
    }
  }

  return {
    traits: { ...traits, sector: SECTOR, logicalSectorSize: SECTOR },
    write: (bytes, start) =>
      each(
        start,
        start + bytes.length,
        (writer, from, to, shift) => writer.write(bytes.subarray(from - start, to - start), from - shift),
      ),
    ...(!begin && spans.every(({ writer }) => writer.flat) &&
      { locationFor: (start: number) => locationIn(spans, start) }),
    zero: (start, end) => each(start, end, (writer, from, to, shift) => writer.zero(from - shift, to - shift)),
    async finish() {
      for (const { writer } of spans) await writer.finish();
      await finish?.();
    },
  };
}

/** Returns the location of guest byte `at`; all extent files are flat. */
function locationIn(spans: readonly ExtentFileSpan[], at: number): FixedLocation {
  const { writer, start, end } = spans.find((span) => span.end > at)!;
  const { storage, offset } = writer.flat!;
  return { storage, offset: offset + at - start, end };
}

/** Returns a writer into a file whose guest bytes are contiguous from `fileOffset` on. */
export function flatWriter(storage: WritableStorage, fileOffset: number): ExtentFileWriter {
  return {
    write: (from, start) => storage.writeAt(from, fileOffset + start),
    zero: (start, end) => storage.zeroAt(fileOffset + start, fileOffset + end),
    flat: { storage, offset: fileOffset },
    finish: () => Promise.resolve(),
  };
}

/** Returns the slice of `backing` from guest byte `by` on; null if it ends before. */
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
