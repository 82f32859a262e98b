/**
 * A look at the data before a conversion: how it lies, and from samples how long the job takes and how well it packs.
 *
 * @module
 */
import { type GuestReader, ImageError, partOf } from "../formats/mod.ts";
import { tellingPause } from "./open_for_change.ts";
import { Conversion } from "./convert.ts";
import { dryOutput } from "./target/dry_output.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, ConvertJob } from "./job.ts";
import type { PackedShare } from "./compressed_size.ts";
import { workerPool } from "./workers/codec_pool.ts";
import { countingPacker, takeSamples } from "./samples.ts";

/** How many runs there are of a status, and how many guest bytes. */
export interface StatusCount {
  /** How many runs. */
  readonly runs: number;
  /** Guest bytes of them all. */
  readonly bytes: number;
}

/** What {@linkcode surveyConversion} finds. */
export interface Survey {
  /** The source by status: `packed` data lies compressed, `hole` is left to the target's backing file. */
  readonly status: { readonly [status in "data" | "packed" | "zero" | "hole"]: StatusCount };
  /** Guest bytes of the samples. */
  readonly sampled: number;
  /** About how long the copy takes, in seconds, if the target is written as fast as the source is read. */
  readonly seconds: number;
  /** For a target that packs: how well the data packs. */
  readonly packs?: PackedShare;
}

/** What {@linkcode surveyConversion} may be told. */
export interface SurveyContext extends Pick<ConvertContext, "formats" | "files" | "signal"> {
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** What {@linkcode surveyConversion} of `mod.ts` does. */
export async function surveyConversion(
  job: ConvertJob,
  { onEvent, ...context }: SurveyContext = {},
): Promise<Survey> {
  const { target } = job;
  if (target.create === false) {
    throw new ImageError("unsupported", `Cannot plan to write into "${target.path}": only new targets are planned`);
  }
  await using stack = new AsyncDisposableStack();
  const pool = workerPool(1);
  const packer = countingPacker(pool.pack);
  const conversion = new Conversion(job, { ...context, pool: { ...pool, pack: packer.pack } }, dryOutput());
  const { source, target: { writer } } = await conversion.prepare(stack);
  const told = { pause: tellingPause(conversion.pace, onEvent) };
  onEvent?.({ type: "phase", phase: "copy" });
  const status = await countStatus(source, partOf(told, 0, 0.5).pause);
  const data = status.data.bytes + status.packed.bytes;
  const { pause } = partOf(told, 0.5, 1);
  const { sampled, readSeconds, writeSeconds, packs } = await takeSamples({ source, data, writer, packer, pause });
  const writing = writeSeconds / (job.workers ?? navigator.hardwareConcurrency);
  return {
    status,
    sampled,
    seconds: sampled === 0 ? 0 : data * (2 * readSeconds + writing) / sampled,
    ...(packs && { packs }),
  };
}

async function countStatus(source: GuestReader, pause: (share: number) => Promise<void>): Promise<Survey["status"]> {
  const counts = {
    data: { runs: 0, bytes: 0 },
    packed: { runs: 0, bytes: 0 },
    zero: { runs: 0, bytes: 0 },
    hole: { runs: 0, bytes: 0 },
  };
  let last = "";
  for (let at = 0; at < source.size;) {
    const run = await source.runAt(at, source.size);
    const status = run.kind === "data" && run.packed ? "packed" : run.kind;
    counts[status].bytes += run.end - at;
    if (status !== last) counts[status].runs++;
    last = status;
    at = run.end;
    await pause(at / source.size);
  }
  return counts;
}
