/**
 * A look at the data before a conversion: how it lies, and from samples how long the job takes and how well it compress.
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

/** How many runs there are of a status, and how many guest bytes. */
export interface StatusCount {
  /** How many runs. */
  readonly runs: number;
  /** Guest bytes of them all. */
  readonly bytes: number;
}

/** What {@linkcode estimateConversion} finds. */
export interface Estimate {
  /** The source by status: `compressed` data lies compressed, `hole` is left to the target's backing file. */
  readonly status: { readonly [status in "data" | "compressed" | "zero" | "hole"]: StatusCount };
  /** Guest bytes of the samples. */
  readonly sampled: number;
  /** About how long the copy takes, in seconds, if the target is written as fast as the source is read. */
  readonly seconds: number;
  /** For a target that compress: how well the data compress. */
  readonly compress?: CompressedShare;
}

/** What {@linkcode estimateConversion} may be told. */
export interface EstimateContext extends Pick<ConvertContext, "formats" | "files" | "signal"> {
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** What {@linkcode estimateConversion} of `mod.ts` does. */
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
  const told = { checkpoint: reportingCheckpoint(conversion.throttle, onEvent) };
  onEvent?.({ type: "phase", phase: "copy" });
  const status = await countStatus(source, stageContext(told, 0, 0.5).checkpoint);
  const data = status.data.bytes + status.compressed.bytes;
  const { checkpoint } = stageContext(told, 0.5, 1);
  const { sampled, readSeconds, writeSeconds, compress } = await takeSamples({
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
    ...(compress && { compress }),
  };
}

async function countStatus(
  source: GuestReader,
  checkpoint: (share: number) => Promise<void>,
): Promise<Estimate["status"]> {
  const counts = {
    data: { runs: 0, bytes: 0 },
    compressed: { runs: 0, bytes: 0 },
    zero: { runs: 0, bytes: 0 },
    hole: { runs: 0, bytes: 0 },
  };
  let last = "";
  for (let at = 0; at < source.size;) {
    const run = await source.extentAt(at, source.size);
    const status = run.kind === "data" && run.compressed ? "compressed" : run.kind;
    counts[status].bytes += run.end - at;
    if (status !== last) counts[status].runs++;
    last = status;
    at = run.end;
    await checkpoint(at / source.size);
  }
  return counts;
}
