/**
 * The digest of a virtual disk. It does not depend on the format.
 *
 * @module
 */
import { chainOf } from "./open/chain.ts";
import { LEAST_ZEROES } from "./copy/plan.ts";
import { countAndCopy } from "./copy/count_and_copy.ts";
import { discardingWriter } from "./copy/discarding_writer.ts";
import { hashBy, isBlocksHasher } from "./copy/hash_by_workers.ts";
import type { DigestMember, ScanEvent, Totals } from "./events.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import { digestBy } from "./hasher.ts";
import type { DigestAlgorithm } from "./job.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { codecPoolOf } from "./workers/codec_pool.ts";
import { type WorkerIo, workerIo } from "./workers/worker_io.ts";
import { workerPoolOf } from "./workers/worker_pool.ts";

/** Options of {@linkcode digest}. */
export interface DigestOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** Default `sha256`. */
  readonly algorithm?: DigestAlgorithm;
  /** Most workers that decompress, or hash blocks. Default: one per processor. */
  readonly workers?: number;
  /**
   * Workers that hash, instead of workers of its own. Disposed at the end.
   *
   * @internal
   */
  readonly workerIo?: WorkerIo;
}

/** Result of {@linkcode digest}. */
export interface DigestSummary extends DigestMember {
  /** Guest bytes. */
  readonly size: number;
  /** Guest bytes: `data` was read, `zero` is known to be zero. */
  readonly totals: Totals;
  /** Duration in seconds. */
  readonly seconds: number;
}

/** Implements `digest` of `mod.ts`. */
export async function digest(image: string | ImageSpec, options: DigestOptions = {}): Promise<DigestSummary> {
  const begun = performance.now();
  const { onEvent } = options;
  const spec = typeof image === "string" ? { path: image } : image;
  const { algorithm = "sha256" } = options;
  const workers = workerPoolOf(options.workers);
  using pool = codecPoolOf(workers);
  using io = options.workerIo ?? workerIo(workers);
  onEvent?.({ type: "phase", phase: "inspect" });
  await using opened = await openImage(spec, { ...openOptions(options), decompressor: pool.decompress });
  const source = chainOf(opened.layers.map((layer) => layer.disk));
  const { hash, result } = await digestBy(algorithm);
  io.expect(opened.fileBytes);
  const writer = discardingWriter(source.size, false);
  const { data, zero, skip } = await countAndCopy({
    source,
    writer,
    traits: writer.traits,
    policy: { keepsBacking: false, backingEnd: 0, writesZeroes: false, leastZeroes: LEAST_ZEROES },
    sparseSize: 0,
    throttle: throttleOf(options.signal, 0, options.paused),
    movers: isBlocksHasher(hash) ? [hashBy(io, hash)] : [],
    hash,
    hashesAll: algorithm === "sha256",
    pool,
    onEvent,
  });
  const seconds = (performance.now() - begun) / 1000;
  return { ...result(), size: source.size, totals: { data, zero, skip }, seconds };
}
