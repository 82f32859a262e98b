/**
 * How much space an image takes in another format, without writing it.
 *
 * @module
 */
import { resolve } from "node:path";
import {
  alignDown,
  alignUp,
  type CreatePlan,
  type Format,
  type GuestReader,
  holeRun,
  ImageError,
  type Measure,
  type Measured,
  type WritableStorage,
  zeroes,
} from "../formats/mod.ts";
import { chainOf } from "./chain.ts";
import { dryOutput } from "./dry_output.ts";
import type { ImageSpec, TargetSpec } from "./job.ts";
import { openImage } from "./open.ts";
import { type OpenDiskOptions, openOptions } from "./open_disk.ts";
import { type Pace, paceOf } from "./pace.ts";
import { formatNamed } from "./probe.ts";
import { planTarget } from "./target.ts";

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
}

/** What {@linkcode measure} may be told. */
export interface MeasureOptions extends OpenDiskOptions {
  readonly signal?: AbortSignal;
}

/**
 * Measures the files of an image: with the data that the source has, and with nothing but data. Zeroes inside data,
 * which a conversion finds, count as data.
 *
 * @throws ImageError as `openDisk`; `usage` for options that the format does not take; `unsupported` for a format that
 * cannot be written
 *
 * @example
 * ```ts
 * import { measure } from "./measure.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(await measure({ size: 1 << 20, format: "raw" }), { required: 1 << 20, fullyAllocated: 1 << 20 });
 * ```
 */
export async function measure(job: MeasureJob, options: MeasureOptions = {}): Promise<Measured> {
  const open = openOptions(options);
  const format = formatNamed(job.format, open.formats);
  if (!format.create) {
    throw new ImageError("unsupported", `Cannot measure for ${format.name}: it is read-only here`);
  }
  const pace = paceOf(options.signal, 0);
  if (job.source === undefined) {
    const empty = emptyReader(job.size ?? 0);
    return await measureFor(format, await planOf(job, format, empty.size), { reader: empty, bitmaps: null }, pace);
  }
  const spec = typeof job.source === "string" ? { path: job.source } : job.source;
  await using image = await openImage({ ...spec, path: resolve(spec.path) }, open);
  const reader = chainOf(image.layers.map((layer) => layer.disk));
  const bitmaps = image.layers[0].disk.bitmaps ?? null;
  const plan = await planOf(job, format, reader.size);
  // What is shared with the backing file is not known: nothing, at worst.
  return await measureFor(format, plan, { reader: plan.backing ? fullReader(reader.size) : reader, bitmaps }, pace);
}

async function planOf({ options, backing }: MeasureJob, format: Format, size: number): Promise<CreatePlan> {
  const spec = { path: "measured", format: format.name, ...(options && { options }), ...(backing && { backing }) };
  return await planTarget(spec, format, size);
}

/** What is measured. */
interface Content {
  readonly reader: GuestReader;
  readonly bitmaps: Parameters<Measure["sizeOf"]>[1];
}

async function measureFor(format: Format, plan: CreatePlan, content: Content, pace: Pace): Promise<Measured> {
  const { reader, bitmaps } = content;
  if (format.measure) {
    const { unit, sizeOf } = await format.measure(plan);
    return sizeOf(await dataIn(reader, unit, pace), bitmaps);
  }
  return {
    required: await writtenSize(format, plan, reader, pace),
    fullyAllocated: await writtenSize(format, plan, fullReader(reader.size), pace),
  };
}

/** Guest bytes of the units that hold data. */
async function dataIn(reader: GuestReader, unit: number, pace: Pace): Promise<number> {
  let data = 0;
  for (let at = 0; at < reader.size;) {
    const run = await reader.runAt(at, reader.size);
    const end = run.kind === "data" ? alignUp(run.end, unit) : run.end;
    if (run.kind === "data") data += end - alignDown(at, unit);
    at = end;
    await pace.pause();
  }
  return data;
}

/** Writes the image into nothing, and tells how long its files would have become. */
async function writtenSize(format: Format, plan: CreatePlan, reader: GuestReader, pace: Pace): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const output = stack.use(dryOutput());
  const files: WritableStorage[] = [];
  const create = async (name: string) => {
    const file = await output.create(name);
    files.push(file);
    return file;
  };
  const below = plan.backing ? emptyReader(plan.size) : null;
  const writer = stack.use(await format.create!(await create("measured"), plan, { createNamed: create, below }));
  let packed = 0;
  for (let at = 0; at < reader.size;) {
    const run = await reader.runAt(at, reader.size);
    if (writer.traits.packs && run.kind === "data") packed += run.end - at;
    // What the data is does not matter, and zeroes cost no memory.
    for (let start = at; run.kind === "data" && start < run.end;) {
      const piece = zeroes(pieceEnd(start, run.end, writer.traits.unit) - start);
      await writer.write(piece, start);
      start += piece.length;
      await pace.pause();
    }
    at = run.end;
  }
  await writer.finish();
  // Of what is packed, next to nothing is left; how much it would be of true data is not known.
  return files.reduce((sum, file) => sum + file.size, 0) + packed;
}

/** Where a piece ends that begins at `start`: at the end of a unit, as a target that packs wants it. */
function pieceEnd(start: number, end: number, unit: number): number {
  const most = Math.max(unit, alignDown(1 << 20, unit));
  return Math.min(end, alignDown(start, unit) + most);
}

/** A disk of which nothing is stated. */
function emptyReader(size: number): GuestReader {
  return {
    size,
    runAt: (start, limit) => Promise.resolve(holeRun(start, limit)),
    read: (into) => Promise.resolve(void into.fill(0)),
  };
}

/** A disk that is all data. */
function fullReader(size: number): GuestReader {
  return {
    ...emptyReader(size),
    runAt: (start, limit) => Promise.resolve({ start, end: limit, kind: "data", packed: false }),
  };
}
