/**
 * A look at the data before a conversion: how it lies, and from samples how long the job takes and how well it packs.
 *
 * @module
 */
import { alignDown, type GuestReader, ImageError, type WriterTraits } from "../formats/mod.ts";
import { Conversion } from "./convert.ts";
import { dryOutput } from "./dry_output.ts";
import type { ConvertContext, ConvertJob } from "./job.ts";
import type { Pace } from "./pace.ts";

/** How many runs there are of a status, and how many guest bytes. */
export interface StatusCount {
  readonly runs: number;
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
  /**
   * For a target that packs: bytes in its file for one byte of data, and what that may be wrong by (two standard errors
   * of the samples).
   */
  readonly packs?: { readonly share: number; readonly error: number };
}

/** Samples are taken in so many groups; their differences tell how far the mean can be trusted. */
const GROUPS = 8;
/** Bytes of one group. */
const GROUP_BYTES = 1 << 20;
/** Bytes of one sample where the target has no unit. */
const SAMPLE_BYTES = 64 << 10;

/**
 * Surveys the sources of a job with a new target. Reads a few megabytes, writes nothing.
 *
 * @throws ImageError as `convert` would before it copies; `unsupported` for a target that is written in place
 *
 * @example
 * ```ts
 * import { surveyConversion } from "./survey.ts";
 * import assert from "node:assert/strict";
 *
 * const { status } = await surveyConversion({
 *   sources: [{ path: "tests/samples/sample.qcow2" }],
 *   target: { path: "out.raw", format: "raw" },
 * });
 * assert.equal(status.data.bytes + status.packed.bytes + status.zero.bytes, 64 << 20);
 * ```
 */
export async function surveyConversion(
  job: ConvertJob,
  context: Pick<ConvertContext, "formats" | "files" | "signal"> = {},
): Promise<Survey> {
  const { target } = job;
  if (target.create === false) {
    throw new ImageError("unsupported", `Cannot plan to write into "${target.path}": only new targets are planned`);
  }
  await using stack = new AsyncDisposableStack();
  const conversion = new Conversion({ ...job, workers: 1 }, context, dryOutput());
  const ready = await conversion.prepare(stack);
  const { source, traits, target: opened } = ready;
  const status = await countStatus(source, conversion.pace);
  const data = status.data.bytes + status.packed.bytes;
  const samples = new Sampler(source, traits, (bytes, start) => opened.writer.write(bytes, start), () => {
    return opened.storage.size;
  });
  await samples.take(data, conversion.pace);
  const { sampled, readSeconds, writeSeconds, shares } = samples;
  const writing = traits.packs ? writeSeconds / (job.workers ?? navigator.hardwareConcurrency) : 0;
  return {
    status,
    sampled,
    seconds: sampled === 0 ? 0 : data * (2 * readSeconds + writing) / sampled,
    ...(traits.packs && shares.length > 0 && { packs: meanOf(shares) }),
  };
}

async function countStatus(source: GuestReader, pace: Pace): Promise<Survey["status"]> {
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
    await pace.pause();
  }
  return counts;
}

/** Takes samples of the data, spread evenly, group by group. */
class Sampler {
  sampled = 0;
  readSeconds = 0;
  writeSeconds = 0;
  /** For each group, file bytes for one byte of data. */
  readonly shares: number[] = [];

  constructor(
    readonly source: GuestReader,
    readonly traits: WriterTraits,
    readonly write: (bytes: Uint8Array, start: number) => Promise<void>,
    readonly fileSize: () => number,
  ) {}

  async take(data: number, pace: Pace): Promise<void> {
    const unit = this.traits.packs ? this.traits.unit : SAMPLE_BYTES;
    const perGroup = Math.max(1, Math.floor(GROUP_BYTES / unit));
    const places = await placesIn(this.source, data, GROUPS * perGroup, unit, pace);
    for (let group = 0; group < GROUPS; group++) {
      const mine = places.filter((_, index) => index % GROUPS === group);
      const before = this.fileSize();
      let bytes = 0;
      for (const place of mine) {
        bytes += await this.sample(place, Math.min(unit, this.source.size - place));
        await pace.pause();
      }
      this.sampled += bytes;
      if (bytes > 0) this.shares.push((this.fileSize() - before) / bytes);
    }
  }

  async sample(start: number, length: number): Promise<number> {
    const bytes = new Uint8Array(length);
    const begun = performance.now();
    await this.source.read(bytes, start);
    const read = performance.now();
    await this.write(bytes, start);
    this.readSeconds += (read - begun) / 1000;
    this.writeSeconds += (performance.now() - read) / 1000;
    return length;
  }
}

/** Guest offsets of `count` different units that hold data, evenly spread over the `data` bytes there are. */
async function placesIn(
  source: GuestReader,
  data: number,
  count: number,
  unit: number,
  pace: Pace,
): Promise<number[]> {
  const places: number[] = [];
  let passed = 0;
  let next = 0;
  for (let at = 0; at < source.size && next < count;) {
    const run = await source.runAt(at, source.size);
    if (run.kind === "data") {
      for (; next < count && (next + 0.5) * data / count < passed + run.end - at; next++) {
        const place = alignDown(at + Math.floor((next + 0.5) * data / count - passed), unit);
        if (places.at(-1) !== place) places.push(place);
      }
      passed += run.end - at;
    }
    at = run.end;
    await pace.pause();
  }
  return places;
}

function meanOf(values: readonly number[]): { share: number; error: number } {
  const share = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - share) ** 2, 0) / Math.max(1, values.length - 1);
  return { share, error: 2 * Math.sqrt(variance / values.length) };
}
