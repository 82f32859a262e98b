/**
 * How much space an image takes in another format, without writing it.
 *
 * @module
 */
import {
  alignDown,
  alignUp,
  type Compressor,
  type CreatePlan,
  type DiskWriter,
  type Format,
  type GuestReader,
  holeExtent,
  ImageError,
  type Measure,
  type Measured,
  resolve,
  stageContext,
  type WritableStorage,
  zeroes,
} from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { atWork, reportingCheckpoint } from "./open_for_change.ts";
import { dryOutput } from "./target/dry_output.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, ImageSpec, TargetSpec } from "./job.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { type CompressedShare, compressedSize } from "./compressed_size.ts";
import { stepsOf } from "./copy/plan.ts";
import { formatNamed } from "./open/probe.ts";
import { countingCompressor, takeSamples } from "./samples.ts";
import { planTarget } from "./target/target.ts";

/** What is to be measured. */
export interface MeasureJob {
  /** The image to be converted; absent: a new one of `size`. */
  readonly source?: string | ImageSpec;
  /** Guest bytes of a new image. */
  readonly size?: number;
  /** Name of the target's format. */
  readonly format: string;
  /** Creation options, as for a conversion. */
  readonly options?: TargetSpec["options"];
  /** With a backing file all of the source counts: what it shares with the file is not looked at. */
  readonly backing?: TargetSpec["backing"];
  /** The data is compressed: samples of it are read, a few megabytes. */
  readonly compress?: boolean;
}

/** What {@linkcode measure} may be told. */
export interface MeasureOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** What {@linkcode measure} finds. Bytes. */
export interface MeasureSummary extends Measured {
  /** What `required` may be wrong by, where it comes from samples. */
  readonly requiredError?: number;
}

/** What {@linkcode measure} of `mod.ts` does. */
export async function measure(job: MeasureJob, options: MeasureOptions = {}): Promise<MeasureSummary> {
  const open = openOptions(options);
  const format = formatNamed(job.format, open.formats);
  if (!format.create) {
    throw new ImageError("unsupported", `Cannot measure for ${format.name}: it is read-only here`);
  }
  if (job.compress && !format.has.compression) {
    throw new ImageError("unsupported", `Cannot measure compressed data for ${format.name}: it has no compression`);
  }
  options.onEvent?.({ type: "phase", phase: "inspect" });
  const told = { checkpoint: reportingCheckpoint(throttleOf(options.signal, 0, options.paused), options.onEvent) };
  if (job.source === undefined) {
    const empty = emptyReader(job.size ?? 0);
    const content = { reader: empty, source: empty, bitmaps: null };
    return await atWork(
      options,
      async () => await measureFor(format, await planOf(job, format, empty.size), content, told),
    );
  }
  const spec = typeof job.source === "string" ? { path: job.source } : job.source;
  await using image = await openImage({ ...spec, path: resolve(spec.path) }, open);
  const source = chainOf(image.layers.map((layer) => layer.disk));
  const bitmaps = image.layers[0].disk.bitmaps ?? null;
  const plan = await planOf(job, format, source.size);
  // What is shared with the backing file is not known: nothing, at worst.
  const content = { reader: plan.backing ? fullReader(source.size) : source, source, bitmaps };
  return await atWork(options, () => measureFor(format, plan, content, told));
}

async function planOf({ options, backing, compress }: MeasureJob, format: Format, size: number): Promise<CreatePlan> {
  const spec = {
    path: "measured",
    format: format.name,
    ...(options && { options }),
    ...(backing && { backing }),
    ...(compress && { compress }),
  };
  return await planTarget(spec, format, size);
}

/** What is measured. */
interface Content {
  /** Where there is data. */
  readonly reader: GuestReader;
  /** What it is. */
  readonly source: GuestReader;
  readonly bitmaps: Parameters<Measure["sizeOf"]>[1];
}

/** Hears how far it is. */
type Told = { readonly checkpoint: ReturnType<typeof reportingCheckpoint> };

async function measureFor(
  format: Format,
  plan: CreatePlan,
  content: Content,
  told: Told,
): Promise<MeasureSummary> {
  const { reader, bitmaps } = content;
  if (plan.compress) {
    const decompressed = await measureFor(format, { ...plan, compress: false }, content, stageContext(told, 0, 0.4));
    const { size, data, unit } = await written(format, plan, reader, stageContext(told, 0.4, 0.7));
    const share = await compressedShare(format, plan, content, data, stageContext(told, 0.7, 1));
    const compressed = compressedSize(size, data, share);
    // The last clusterSize that compressed data lies in may be full or empty.
    return { ...decompressed, required: compressed.size, requiredError: compressed.error + unit };
  }
  if (format.measure) {
    const { clusterSize: unit, sizeOf } = await format.measure(plan);
    return sizeOf(await dataIn(reader, unit, told), bitmaps);
  }
  return {
    required: (await written(format, plan, reader, stageContext(told, 0, 0.5))).size,
    fullyAllocated: (await written(format, plan, fullReader(reader.size), stageContext(told, 0.5, 1))).size,
  };
}

/** Guest bytes of the units that hold data. */
async function dataIn(reader: GuestReader, unit: number, { checkpoint }: Told): Promise<number> {
  let data = 0;
  for (let at = 0; at < reader.size;) {
    const run = await reader.extentAt(at, reader.size);
    const end = run.kind === "data" ? alignUp(run.end, unit) : run.end;
    if (run.kind === "data") data += end - alignDown(at, unit);
    at = end;
    await checkpoint(Math.min(1, at / reader.size));
  }
  return data;
}

/** How well samples of the data compress. */
async function compressedShare(
  format: Format,
  plan: CreatePlan,
  { reader, source }: Content,
  data: number,
  { checkpoint }: Told,
): Promise<CompressedShare> {
  await using stack = new AsyncDisposableStack();
  const compressor = countingCompressor();
  const { writer } = await dryWriter(format, plan, compressor.compress, stack);
  const sampled = { ...reader, read: source.read };
  return (await takeSamples({ source: sampled, data, writer, compressor, checkpoint })).compress ??
    { share: 1, error: 0 };
}

/** A writer that writes into nothing, and the files that it makes. */
async function dryWriter(
  format: Format,
  plan: CreatePlan,
  compress: Compressor,
  stack: AsyncDisposableStack,
): Promise<{ writer: DiskWriter; files: readonly WritableStorage[] }> {
  const output = stack.use(dryOutput());
  const files: WritableStorage[] = [];
  const createNamed = async (name: string) => {
    const file = await output.create(name);
    files.push(file);
    return file;
  };
  const below = plan.backing ? emptyReader(plan.size) : null;
  const context = { createNamed, backing: below, compressor: compress };
  const writer = await format.create!(await createNamed("measured"), plan, context);
  if (!plan.compress || writer.traits.compress) return { writer, files };
  throw new ImageError(
    "unsupported",
    `Cannot measure compressed data for this kind of ${format.name}: it does not compress`,
  );
}

/** As for a new target: what is zero needs nothing. */
const POLICY = { keepsBacking: false, backingEnd: 0, writesZeroes: false };

/** What compressing leaves of a clusterSize that does not count here. */
const NEXT_TO_NOTHING: Compressor = () => Promise.resolve(new Uint8Array(1));

/**
 * Writes the image into nothing, and tells how long its files become; and how many bytes of its data are compressed, which
 * count as if they did not become smaller.
 */
async function written(
  format: Format,
  plan: CreatePlan,
  reader: GuestReader,
  { checkpoint }: Told,
): Promise<{ readonly size: number; readonly data: number; readonly unit: number }> {
  await using stack = new AsyncDisposableStack();
  const { writer, files } = await dryWriter(format, plan, NEXT_TO_NOTHING, stack);
  const traits = { ...writer.traits, startsZeroed: true };
  let data = 0;
  for await (const step of stepsOf(reader, traits, POLICY)) {
    // What the data is does not matter, and zeroes cost no memory.
    for (let start = step.start; step.action === "copy" && start < step.end;) {
      const piece = zeroes(pieceEnd(start, step.end, traits.clusterSize) - start);
      await writer.write(piece, start);
      start += piece.length;
      if (traits.compress) data += piece.length;
      await checkpoint(start / reader.size);
    }
  }
  await writer.finish();
  return { size: files.reduce((sum, file) => sum + file.size, 0) + data, data, unit: traits.clusterSize };
}

/** Where a piece ends that begins at `start`: at the end of a clusterSize, as a target that compress wants it. */
function pieceEnd(start: number, end: number, unit: number): number {
  const most = Math.max(unit, alignDown(1 << 20, unit));
  return Math.min(end, alignDown(start, unit) + most);
}

/** A disk of which nothing is stated. */
function emptyReader(size: number): GuestReader {
  return {
    size,
    clusterSize: 1,
    extentAt: (start, limit) => Promise.resolve(holeExtent(start, limit)),
    read: (into) => Promise.resolve(void into.fill(0)),
  };
}

/** A disk that is all data. */
function fullReader(size: number): GuestReader {
  return {
    ...emptyReader(size),
    extentAt: (start, limit) => Promise.resolve({ start, end: limit, kind: "data", compressed: false }),
  };
}
