/**
 * Measures the space that an image takes in another format, without writing it.
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
import { reportingCheckpoint, withPhases } from "./open_for_change.ts";
import { dryOutput } from "./target/dry_output.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, ImageSpec, TargetSpec } from "./job.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { type CompressedShare, compressedSize } from "./compressed_size.ts";
import { LEAST_ZEROES, stepsOf } from "./copy/plan.ts";
import { formatNamed } from "./open/probe.ts";
import { countingCompressor, takeSamples } from "./samples.ts";
import { planTarget } from "./target/target.ts";

/** The image to measure. */
export interface MeasureJob {
  /** The image to convert; absent: a new image of `size`. */
  readonly source?: string | ImageSpec;
  /** Guest bytes of a new image. */
  readonly size?: number;
  /** Name of the target's format. */
  readonly format: string;
  /** Creation options, as for a conversion. */
  readonly options?: TargetSpec["options"];
  /** The backing file. All of the source counts: its data is not compared with that of the backing file. */
  readonly backing?: TargetSpec["backing"];
  /** Whether data is compressed: a few megabytes of samples are read. */
  readonly compress?: boolean;
}

/** Options of {@linkcode measure}. */
export interface MeasureOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** Result of {@linkcode measure}. Bytes. */
export interface MeasureSummary extends Measured {
  /** The error of `required`, where it is estimated from samples. */
  readonly requiredError?: number;
}

/** Implements `measure` of `mod.ts`. */
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
  const progress = { checkpoint: reportingCheckpoint(throttleOf(options.signal, 0, options.paused), options.onEvent) };
  if (job.source === undefined) {
    const empty = emptyReader(job.size ?? 0);
    const content = { reader: empty, source: empty, bitmaps: null };
    return await withPhases(
      options,
      async () => await measureFor(format, await planOf(job, format, empty.size), content, progress),
    );
  }
  const spec = typeof job.source === "string" ? { path: job.source } : job.source;
  await using image = await openImage({ ...spec, path: resolve(spec.path) }, open);
  const source = chainOf(image.layers.map((layer) => layer.disk));
  const bitmaps = image.layers[0].disk.bitmaps ?? null;
  const plan = await planOf(job, format, source.size);
  // The data that the source shares with the backing file is unknown: assume none.
  const content = { reader: plan.backing ? fullReader(source.size) : source, source, bitmaps };
  return await withPhases(options, () => measureFor(format, plan, content, progress));
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

/** The content to measure. */
interface Content {
  /** Reader whose extents count. */
  readonly reader: GuestReader;
  /** Reader of the data for samples. */
  readonly source: GuestReader;
  readonly bitmaps: Parameters<Measure["sizeOf"]>[1];
}

/** Reports progress. */
type Progress = { readonly checkpoint: ReturnType<typeof reportingCheckpoint> };

async function measureFor(
  format: Format,
  plan: CreatePlan,
  content: Content,
  progress: Progress,
): Promise<MeasureSummary> {
  const { reader, bitmaps } = content;
  if (plan.compress) {
    const uncompressed = await measureFor(
      format,
      { ...plan, compress: false },
      content,
      stageContext(progress, 0, 0.4),
    );
    const { size, data, clusterSize } = await drySize(format, plan, reader, stageContext(progress, 0.4, 0.7));
    const share = await compressedShare(format, plan, content, data, stageContext(progress, 0.7, 1));
    const compressed = compressedSize(size, data, share);
    // The last cluster with compressed data may be full or nearly empty.
    return { ...uncompressed, required: compressed.size, requiredError: compressed.error + clusterSize };
  }
  if (format.measure) {
    const { clusterSize, sizeOf } = await format.measure(plan);
    return sizeOf(await dataIn(reader, clusterSize, progress), bitmaps);
  }
  return {
    required: (await drySize(format, plan, reader, stageContext(progress, 0, 0.5))).size,
    fullyAllocated: (await drySize(format, plan, fullReader(reader.size), stageContext(progress, 0.5, 1))).size,
  };
}

/** Returns the guest bytes of all clusters with data. */
async function dataIn(reader: GuestReader, clusterSize: number, { checkpoint }: Progress): Promise<number> {
  let data = 0;
  for (let at = 0; at < reader.size;) {
    const extent = await reader.extentAt(at, reader.size);
    const end = extent.kind === "data" ? alignUp(extent.end, clusterSize) : extent.end;
    if (extent.kind === "data") data += end - alignDown(at, clusterSize);
    at = end;
    await checkpoint(Math.min(1, at / reader.size));
  }
  return data;
}

/** Takes samples and returns how well the data compresses. */
async function compressedShare(
  format: Format,
  plan: CreatePlan,
  { reader, source }: Content,
  data: number,
  { checkpoint }: Progress,
): Promise<CompressedShare> {
  await using stack = new AsyncDisposableStack();
  const compressor = countingCompressor();
  const { writer } = await dryWriter(format, plan, compressor.compress, stack);
  const sampled = { ...reader, read: source.read };
  return (await takeSamples({ source: sampled, data, writer, compressor, checkpoint })).compression ??
    { share: 1, error: 0 };
}

/** Returns a writer into memory that keeps no data, and the files that it creates. */
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
  const backing = plan.backing ? emptyReader(plan.size) : null;
  const context = { createNamed, backing, compressor: compress };
  const writer = await format.create!(await createNamed("measured"), plan, context);
  if (!plan.compress || writer.traits.compress) return { writer, files };
  throw new ImageError(
    "unsupported",
    `Cannot measure compressed data for this kind of ${format.name}: it does not compress`,
  );
}

/** The policy of a new target: zeroes are skipped. */
const POLICY = { keepsBacking: false, backingEnd: 0, writesZeroes: false, leastZeroes: LEAST_ZEROES };

/** A compressor whose results have one byte: compressed data is added to the size afterwards. */
const ONE_BYTE: Compressor = () => Promise.resolve(new Uint8Array(1));

/**
 * Writes the image through a writer that keeps no data.
 *
 * @returns `size`: bytes of its files, if compression makes nothing smaller; `data`: bytes of them that are compressed
 */
async function drySize(
  format: Format,
  plan: CreatePlan,
  reader: GuestReader,
  { checkpoint }: Progress,
): Promise<{ readonly size: number; readonly data: number; readonly clusterSize: number }> {
  await using stack = new AsyncDisposableStack();
  const { writer, files } = await dryWriter(format, plan, ONE_BYTE, stack);
  const traits = { ...writer.traits, startsZeroed: true };
  let data = 0;
  for await (const step of stepsOf(reader, traits, POLICY)) {
    // The content does not matter; the shared zeroes take no memory.
    for (let start = step.start; step.action === "copy" && start < step.end;) {
      const piece = zeroes(pieceEnd(start, step.end, traits.clusterSize) - start);
      await writer.write(piece, start);
      start += piece.length;
      if (traits.compress) data += piece.length;
      await checkpoint(start / reader.size);
    }
  }
  await writer.finish();
  return { size: files.reduce((sum, file) => sum + file.size, 0) + data, data, clusterSize: traits.clusterSize };
}

/** Returns the end of the piece that starts at `start`: about 1 MiB, and whole clusters, as a target that compresses needs. */
function pieceEnd(start: number, end: number, clusterSize: number): number {
  const most = Math.max(clusterSize, alignDown(1 << 20, clusterSize));
  return Math.min(end, alignDown(start, clusterSize) + most);
}

/** Returns a reader that is one hole. */
function emptyReader(size: number): GuestReader {
  return {
    size,
    clusterSize: 1,
    extentAt: (start, limit) => Promise.resolve(holeExtent(start, limit)),
    read: (into) => Promise.resolve(void into.fill(0)),
  };
}

/** Returns a reader that is all data. */
function fullReader(size: number): GuestReader {
  return {
    ...emptyReader(size),
    extentAt: (start, limit) => Promise.resolve({ start, end: limit, kind: "data", compressed: false }),
  };
}
