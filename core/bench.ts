/**
 * How fast an image can be read or written: many equal requests.
 *
 * @module
 */
import { type GuestReader, ImageError, inlineCompressor } from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { atWork, type ChangeOptions, openForChange, reportingCheckpoint } from "./open_for_change.ts";
import type { ImageSpec } from "./job.ts";
import { openImage } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { codecPool } from "./workers/codec_pool.ts";

/** Which requests are made. Sizes in guest bytes. */
export interface BenchJob {
  /** How many. */
  readonly count: number;
  /** How many at once. Writes are made one after another: images are written so. */
  readonly depth: number;
  /** Bytes of each. */
  readonly bufferSize: number;
  /** From the beginning of one to that of the next; at the end of the disk they go on at its beginning. */
  readonly step: number;
  /** Where the first begins. */
  readonly offset: number;
  /** Write instead of reading. What was there is lost. */
  readonly write?: BenchWrite;
}

/** What is written. */
export interface BenchWrite {
  /** The byte that is written, 0 to 255. */
  readonly pattern: number;
  /** After so many writes the file is synced; 0: never. */
  readonly flushInterval: number;
  /** Whether a sync is waited for before the next write. */
  readonly drain: boolean;
}

/** What {@linkcode bench} of `mod.ts` does. */
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
  const place = placesOn(disk.size, job, "read");
  const checkpoint = reportingCheckpoint(throttleOf(options.signal, 0, options.paused), options.onEvent);
  let next = 0;
  const reader = async () => {
    const buffer = new Uint8Array(new SharedArrayBuffer(bufferSize));
    while (next < count) {
      await disk.read(buffer, place(next++));
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
  const place = placesOn(writer.traits.size, job, "write");
  const buffer = new Uint8Array(job.bufferSize).fill(pattern);
  const seconds = await timed(options, async () => {
    const syncs: Promise<void>[] = [];
    for (let done = 0; done < job.count;) {
      await writer.write(buffer, place(done++));
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
  await atWork(options, work);
  return (performance.now() - begun) / 1000;
}

/** Where each request begins on a disk of `size` bytes. */
function placesOn(
  size: number,
  { bufferSize, offset, step, count }: BenchJob,
  verb: "read" | "write",
): (nth: number) => number {
  const room = size - bufferSize;
  if (count > 0 && offset > room) {
    const message = `Cannot ${verb} ${bufferSize} bytes at byte ${offset}: the disk has ${size}`;
    throw new ImageError("usage", message);
  }
  return (nth) => {
    const at = offset + step * nth;
    return at <= room ? at : room === 0 ? 0 : at % room;
  };
}
