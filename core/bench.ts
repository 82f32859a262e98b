/**
 * Measures how fast an image is read or written, by many requests of one size.
 *
 * @module
 */
import { type GuestReader, ImageError, inlineCompressor } from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { type ChangeOptions, openForChange, reportingCheckpoint, withPhases } from "./open_for_change.ts";
import type { ImageSpec } from "./job.ts";
import { openImage } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { codecPool } from "./workers/codec_pool.ts";

/** The requests of a benchmark. Sizes and offsets are guest bytes. */
export interface BenchJob {
  /** Number of requests. */
  readonly count: number;
  /** Most requests in flight. Writes are made one after another: a writer takes no overlapping calls. */
  readonly depth: number;
  /** Bytes of each request. */
  readonly bufferSize: number;
  /** Bytes from the start of one request to that of the next; past the end of the disk they wrap around. */
  readonly step: number;
  /** Guest byte at which the first request starts. */
  readonly offset: number;
  /** Writes instead of reading: the content of the disk is overwritten. */
  readonly write?: BenchWrite;
}

/** Options of a benchmark that writes. */
export interface BenchWrite {
  /** The byte that is written, 0 to 255. */
  readonly pattern: number;
  /** Number of writes between two syncs of the file; 0: it is not synced. */
  readonly flushInterval: number;
  /** Whether the next write waits for the sync. */
  readonly drain: boolean;
}

/** Implements `bench` of `mod.ts`. */
export async function bench(image: ImageSpec, job: BenchJob, options: ChangeOptions = {}): Promise<number> {
  await using stack = new AsyncDisposableStack();
  return await (job.write ? benchWrite(image, job, job.write, options, stack) : benchRead(image, job, options, stack));
}

async function benchRead(
  image: ImageSpec,
  job: BenchJob,
  options: ChangeOptions,
  stack: AsyncDisposableStack,
): Promise<number> {
  const { count, depth, bufferSize } = job;
  const pool = stack.use(codecPool());
  options.onEvent?.({ type: "phase", phase: "inspect" });
  const opened = stack.use(await openImage(image, { ...openOptions(options), decompressor: pool.decompress }));
  const disk: GuestReader = chainOf(opened.layers.map((layer) => layer.disk));
  const startOf = requestStarts(disk.size, job, "read");
  const checkpoint = reportingCheckpoint(throttleOf(options.signal, 0, options.paused), options.onEvent);
  let next = 0;
  const reader = async () => {
    const buffer = new Uint8Array(new SharedArrayBuffer(bufferSize));
    while (next < count) {
      await disk.read(buffer, startOf(next++));
      await checkpoint(next / count);
    }
  };
  return await timed(options, () => Promise.all(Array.from({ length: Math.min(depth, count) }, reader)));
}

async function benchWrite(
  image: ImageSpec,
  job: BenchJob,
  { pattern, flushInterval, drain }: BenchWrite,
  options: ChangeOptions,
  stack: AsyncDisposableStack,
): Promise<number> {
  const { format, storage, context, path } = await openForChange(image, options, stack);
  const writer = await format.edit?.(storage, {
    compress: false,
    compressor: inlineCompressor,
    openNamed: context.openNamed,
    openBacking: context.openBacking,
  });
  if (!writer) {
    throw new ImageError("unsupported", `Cannot write into "${path}": ${format.name} is read-only here`, { path });
  }
  const startOf = requestStarts(writer.traits.size, job, "write");
  const buffer = new Uint8Array(job.bufferSize).fill(pattern);
  const seconds = await timed(options, async () => {
    const syncs: Promise<void>[] = [];
    for (let done = 0; done < job.count;) {
      await writer.write(buffer, startOf(done++));
      if (flushInterval > 0 && done % flushInterval === 0) syncs.push(storage.sync());
      if (drain) await Promise.all(syncs.splice(0));
      await context.checkpoint(done / job.count);
    }
    await writer.finish();
    await Promise.all(syncs);
  });
  await storage.sync();
  return seconds;
}

async function timed(options: ChangeOptions, work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await withPhases(options, work);
  return (performance.now() - begun) / 1000;
}

/** Returns the guest byte at which each request starts, on a disk of `size` bytes. */
function requestStarts(
  size: number,
  { bufferSize, offset, step, count }: BenchJob,
  verb: "read" | "write",
): (nth: number) => number {
  const lastStart = size - bufferSize;
  if (count > 0 && offset > lastStart) {
    const message = `Cannot ${verb} ${bufferSize} bytes at byte ${offset}: the disk has ${size}`;
    throw new ImageError("usage", message);
  }
  return (nth) => {
    const at = offset + step * nth;
    return at <= lastStart ? at : lastStart === 0 ? 0 : at % lastStart;
  };
}
