/**
 * The parts of a copy for tests: readers of made-up extents, writers and movers that record their calls.
 *
 * @module
 */
import { copy } from "../../core/copy/copy.ts";
import type { Copy, CopyJob, MoverOf } from "../../core/copy/job.ts";
import { bufferSizeOf, pieceSizesOf } from "../../core/copy/piece_size.ts";
import { pipelineOf, type SettledPiece } from "../../core/copy/pipeline.ts";
import type { Step } from "../../core/copy/plan.ts";
import { stageTimesOf } from "../../core/copy/stage_times.ts";
import { copyTargetOf } from "../../core/copy/zero_detection.ts";
import type { ConvertEvent } from "../../core/events.ts";
import { throttleOf } from "../../core/throttle.ts";
import {
  clipExtent,
  type DiskWriter,
  type Extent,
  type GuestReader,
  memoryContent,
  type MemoryStorage,
  type WriterTraits,
} from "../../formats/mod.ts";

/** A reader that records its calls as `start-end`, in guest bytes. */
export interface FakeReader extends GuestReader {
  readonly lookups: string[];
  readonly reads: string[];
}

/** Returns a reader of `content` with these extents, which cover it without gaps. */
export function fakeReader(
  content: Uint8Array,
  extents: readonly Extent[],
  changes: Partial<GuestReader> = {},
): FakeReader {
  const [lookups, reads]: string[][] = [[], []];
  return {
    size: content.length,
    clusterSize: 1,
    lookups,
    reads,
    extentAt(start, limit) {
      lookups.push(`${start}-${limit}`);
      return clipExtent(extents.find(({ end }) => start < end)!, start, limit);
    },
    read(into, start) {
      reads.push(`${start}-${start + into.length}`);
      into.set(content.subarray(start, start + into.length));
      return Promise.resolve();
    },
    ...changes,
  };
}

/** Returns `length` bytes that are not zero, and differ from sector to sector. */
export function dataBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 512) bytes.fill(1 + (at >> 9) % 251, at, at + 512);
  return bytes;
}

/** A writer that records its calls as `write start-end` and `zero start-end`. */
export interface RecordingWriter extends DiskWriter {
  readonly calls: string[];
  /** The guest bytes as written so far. */
  readonly bytes: Uint8Array;
  /** How many calls have begun and not ended. */
  readonly inFlight: { now: number; most: number };
}

/** Traits of a new raw file. */
export const RAW: Omit<WriterTraits, "size"> = {
  clusterSize: 1,
  sector: 1,
  compress: false,
  order: "any",
  startsZeroed: true,
  zeroes: "cheap",
};

/**
 * Returns a recording writer.
 *
 * @param hold awaited in each write, after it has been recorded; what it throws is the error of the write
 */
export function recordingWriter(
  traits: Partial<WriterTraits> & Pick<WriterTraits, "size">,
  hold: (start: number) => Promise<void> | void = () => {},
): RecordingWriter {
  const calls: string[] = [];
  const bytes = new Uint8Array(traits.size);
  const inFlight = { now: 0, most: 0 };
  const record = async (verb: string, start: number, end: number, from?: Uint8Array) => {
    calls.push(`${verb} ${start}-${end}`);
    inFlight.most = Math.max(inFlight.most, ++inFlight.now);
    try {
      // Another piece may use the buffer once this returns.
      const copy = from?.slice();
      await hold(start);
      if (copy) bytes.set(copy, start);
      else bytes.fill(0, start, end);
    } finally {
      inFlight.now--;
    }
  };
  return {
    traits: { ...RAW, ...traits },
    calls,
    bytes,
    inFlight,
    write: (from, start) => record("write", start, start + from.length, from),
    zero: (start, end) => record("zero", start, end),
    finish: () => Promise.resolve(),
  };
}

/** A writer whose guest bytes have their location in `storage`, at the same offset. */
export function locatedWriter(
  storage: MemoryStorage,
  traits: Partial<WriterTraits> & Pick<WriterTraits, "size">,
): RecordingWriter {
  const writer = recordingWriter(traits);
  const record = async (from: Uint8Array, start: number) => {
    await writer.write(from, start);
    await memoryContent(from).writeTo(storage, start);
  };
  return {
    ...writer,
    write: record,
    locationFor: (start) => ({ storage, offset: start, end: traits.size }),
    async writeContent(content, start) {
      writer.calls.push(`content ${start}-${start + content.length}`);
      await content.writeTo(storage, start);
    },
  };
}

/** A job with a list of its events. */
export interface RecordedJob extends CopyJob {
  readonly events: ConvertEvent[];
}

/** Returns a job of one thread, without movers, that finds zeroes of 4096 bytes. */
export function jobOf(source: GuestReader, writer: DiskWriter, changes: Partial<CopyJob> = {}): RecordedJob {
  const events: ConvertEvent[] = [];
  return {
    source,
    writer,
    traits: writer.traits,
    policy: { keepsBacking: false, backingEnd: 0, writesZeroes: false },
    sparseSize: 4096,
    throttle: throttleOf(undefined, 0),
    movers: [],
    width: 1,
    codecSeconds: () => ({ compress: 0, decompress: 0 }),
    events,
    onEvent: (event) => void events.push(event),
    ...changes,
  };
}

/** Returns the copy of a job as its movers see it, and the pieces that its pipeline has settled. */
export function copyOf(job: CopyJob): Copy & { readonly settled: SettledPiece[] } {
  const pieces = pieceSizesOf(job);
  const settled: SettledPiece[] = [];
  const pipeline = pipelineOf(job.width, bufferSizeOf(pieces), {
    begin: () => {},
    settled: (piece) => void settled.push(piece),
  });
  return { job, target: copyTargetOf(job), pipeline, times: stageTimesOf(job), pieces, settled };
}

/** Returns the step that covers these extents, which have one status. */
export function stepOf(...extents: readonly Extent[]): Step {
  const [first] = extents;
  return {
    action: "copy",
    kind: first.kind,
    compressed: first.kind === "data" && first.compressed,
    start: first.start,
    end: extents[extents.length - 1].end,
    extents,
  };
}

/** Runs a job and returns its settled pieces as `action kind start-end`. */
export async function settledPieces(job: RecordedJob): Promise<string[]> {
  await copy(job);
  return job.events.filter((event) => event.type === "extent")
    .map(({ action, kind, start, end }) => `${action} ${kind} ${start}-${end}`);
}

/**
 * Returns a mover that takes up to `most` bytes of a step where `takes` says so, and writes them as they are.
 *
 * @param asked gets `name start-end` for each request
 */
export function fakeMover(
  name: string,
  asked: string[],
  takes: (start: number) => boolean,
  most: number = Infinity,
): MoverOf {
  return ({ job, pipeline }) => async (step, start) => {
    asked.push(`${name} ${start}-${step.end}`);
    if (!takes(start)) return null;
    const end = Math.min(step.end, start + most);
    await pipeline.run({
      piece: { ...step, start, end },
      read: (buffer) => job.source.read(buffer.subarray(0, end - start), start),
      async write(buffer) {
        await job.writer.write(buffer.subarray(0, end - start), start);
        return 0;
      },
    }, { pieces: false, writes: false });
    return end;
  };
}
