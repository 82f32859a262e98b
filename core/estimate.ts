/**
 * Estimates a conversion: the source by status and, from samples, how long the job takes and how well the data compresses.
 *
 * @module
 */
import { type GuestReader, ImageError, stageContext } from "../formats/mod.ts";
import { reportingCheckpoint } from "./open_for_change.ts";
import { Conversion } from "./convert.ts";
import { dryOutput } from "./target/dry_output.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, ConvertJob } from "./job.ts";
import type { CompressedShare } from "./compressed_size.ts";
import { codecPool } from "./workers/codec_pool.ts";
import { countingCompressor, takeSamples } from "./samples.ts";

/** Guest bytes of one status. */
export interface StatusCount {
  /** Number of extents, neighbours of one status counted as one. */
  readonly extents: number;
  /** Guest bytes of all of them. */
  readonly bytes: number;
}

/** Result of {@linkcode estimateConversion}. */
export interface Estimate {
  /** The source by status: `compressed` is stored compressed, `hole` is left to the backing file of the target. */
  readonly status: { readonly [status in "data" | "compressed" | "zero" | "hole"]: StatusCount };
  /** Guest bytes of the samples. */
  readonly sampled: number;
  /** Estimated seconds of the copy, if the target is written as fast as the source is read. */
  readonly seconds: number;
  /** How well the data compresses, where the target compresses. */
  readonly compression?: CompressedShare;
}

/** Options of {@linkcode estimateConversion}. */
export interface EstimateContext extends Pick<ConvertContext, "formats" | "files" | "signal"> {
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** Implements `estimateConversion` of `mod.ts`. */
export async function estimateConversion(
  job: ConvertJob,
  { onEvent, ...context }: EstimateContext = {},
): Promise<Estimate> {
  const { target } = job;
  if (target.create === false) {
    throw new ImageError("unsupported", `Cannot plan to write into "${target.path}": only new targets are planned`);
  }
  await using stack = new AsyncDisposableStack();
  const pool = codecPool(1);
  const compressor = countingCompressor(pool.compress);
  const conversion = new Conversion(job, { ...context, pool: { ...pool, compress: compressor.compress } }, dryOutput());
  const { source, target: { writer } } = await conversion.prepare(stack);
  const progress = { checkpoint: reportingCheckpoint(conversion.throttle, onEvent) };
  onEvent?.({ type: "phase", phase: "copy" });
  const status = await countStatus(source, stageContext(progress, 0, 0.5).checkpoint);
  const data = status.data.bytes + status.compressed.bytes;
  const { checkpoint } = stageContext(progress, 0.5, 1);
  const { sampled, readSeconds, writeSeconds, compression } = await takeSamples({
    source,
    data,
    writer,
    compressor,
    checkpoint,
  });
  const writing = writeSeconds / (job.workers ?? navigator.hardwareConcurrency);
  return {
    status,
    sampled,
    seconds: sampled === 0 ? 0 : data * (2 * readSeconds + writing) / sampled,
    ...(compression && { compression }),
  };
}

async function countStatus(
  source: GuestReader,
  checkpoint: (share: number) => Promise<void>,
): Promise<Estimate["status"]> {
  const counts = {
    data: { extents: 0, bytes: 0 },
    compressed: { extents: 0, bytes: 0 },
    zero: { extents: 0, bytes: 0 },
    hole: { extents: 0, bytes: 0 },
  };
  let last = "";
  for (let at = 0; at < source.size;) {
    const extent = await source.extentAt(at, source.size);
    const status = extent.kind === "data" && extent.compressed ? "compressed" : extent.kind;
    counts[status].bytes += extent.end - at;
    if (status !== last) counts[status].extents++;
    last = status;
    at = extent.end;
    await checkpoint(at / source.size);
  }
  return counts;
}
