/**
 * The digest of a virtual disk. It does not depend on the format.
 *
 * @module
 */
import { chainOf } from "./open/chain.ts";
import { LEAST_ZEROES } from "./copy/plan.ts";
import { countAndCopy } from "./copy/count_and_copy.ts";
import { discardingWriter } from "./copy/discarding_writer.ts";
import type { ScanEvent, Totals } from "./events.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import { hasherOf } from "./hasher.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { codecPool } from "./workers/codec_pool.ts";

/** Options of {@linkcode digest}. */
export interface DigestOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** Most workers that decompress. Default: one per processor. */
  readonly workers?: number;
}

/** Result of {@linkcode digest}. */
export interface DigestSummary {
  /** SHA-256 of all guest bytes, in hex. */
  readonly sha256: string;
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
  using pool = codecPool(options.workers);
  onEvent?.({ type: "phase", phase: "inspect" });
  await using opened = await openImage(spec, { ...openOptions(options), decompressor: pool.decompress });
  const source = chainOf(opened.layers.map((layer) => layer.disk));
  const hash = hasherOf();
  const writer = discardingWriter(source.size, false);
  const { data, zero, skip } = await countAndCopy({
    source,
    writer,
    traits: writer.traits,
    policy: { keepsBacking: false, backingEnd: 0, writesZeroes: false, leastZeroes: LEAST_ZEROES },
    sparseSize: 0,
    throttle: throttleOf(options.signal, 0, options.paused),
    movers: [],
    hash,
    pool,
    onEvent,
  });
  const seconds = (performance.now() - begun) / 1000;
  return { sha256: hash.hex(), size: source.size, totals: { data, zero, skip }, seconds };
}
