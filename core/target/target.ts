/**
 * Opens the target of a job: a new image whose files appear at the end, or an existing one that is changed in place.
 *
 * @module
 */
import {
  basename,
  type Compressor,
  type CreatePlan,
  creationOptionsOf,
  dirname,
  type DiskWriter,
  type Files,
  type Format,
  type GuestReader,
  ImageError,
  inlineCompressor,
  MemoryStorage,
  type NamedFile,
  type OptionValues,
  resolve,
  type WritableStorage,
  writableWindowOf,
} from "../../formats/mod.ts";
import { chainOf } from "../open/chain.ts";
import { createOptions } from "./create_options.ts";
import { optionsOfFormat, setFileAttributes } from "./file_options.ts";
import type { SyncMode, TargetSpec } from "../job.ts";
import { isProtocol, refuseMoved, resolveNamed } from "../open/named_files.ts";
import { openBacking, type OpenedImage, openImage, type OpenOptions } from "../open/open.ts";
import { type OutputFiles, outputFiles, type SourceFiles } from "./output_file.ts";
import { formatNamed, probe } from "../open/probe.ts";
import { targetStorage } from "./target_storage.ts";

/** An opened target. */
export interface OpenedTarget {
  readonly format: Format;
  readonly writer: DiskWriter;
  readonly storage: WritableStorage;
  /** The file or device that is changed in place. */
  readonly inPlace: string | undefined;
  /** Syncs the complete image, and gives its files their names. */
  commit(): Promise<void>;
}

/** The part of a job that concerns its target. */
export interface TargetJob {
  readonly spec: TargetSpec;
  /** Guest bytes of the sources. */
  readonly size: number;
  readonly sources: SourceFiles;
  readonly sync: SyncMode;
  /** Awaited between parts of long operations; throws where the job is cancelled. */
  readonly checkpoint?: (share?: number) => Promise<void>;
  /** Aborts waiting for the reader of a pipe. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a block device is written although it is in use. */
  readonly forceDevice?: boolean | undefined;
  readonly compressor: Compressor;
  readonly options: OpenOptions & { readonly files: Files };
  /** Called with sentences about attributes of files that could not be set. */
  readonly onNote?: (message: string) => void;
  /** Creates new files. Default: files of the host that appear at the end. */
  readonly output?: OutputFiles | undefined;
}

/** Opens the backing file of the target, as the job states it; `null` without one. */
export async function openTargetBacking(spec: TargetSpec, options: OpenOptions): Promise<OpenedImage | null> {
  if (!spec.backing) return null;
  const { path, format } = spec.backing;
  // A relative name counts from the folder of the target, which stores it.
  return await openImage({ path: resolve(dirname(spec.path), path), ...(format && { format }) }, options);
}

/** Returns the plan of a new image, checked by its format. Creates nothing. */
export async function planTarget(
  spec: TargetSpec,
  format: Format,
  size: number,
  logicalSectorSize?: number,
): Promise<CreatePlan> {
  const plan: CreatePlan = {
    size,
    options: optionsOfFormat(format, optionsOf(spec, format)),
    backing: spec.backing ? { name: spec.backing.path, format: spec.backing.format } : null,
    compress: spec.compress ?? false,
    ...(logicalSectorSize !== undefined && { logicalSectorSize }),
  };
  checkFurtherFiles(format, plan);
  await format.checkPlan?.(plan);
  return plan;
}

/** Returns the options of a new target, those of the host's files included. */
function optionsOf(spec: TargetSpec, format: Format): OptionValues {
  return createOptions(format.name, creationOptionsOf(format), spec.options ?? {});
}

/** Throws for a further file whose name readers take for a protocol. */
function checkFurtherFiles({ createOptions }: Format, { options }: CreatePlan): void {
  for (const { name, type } of createOptions) {
    const file = options[name];
    if (type !== "file" || typeof file !== "string" || !isProtocol(file)) continue;
    const message =
      `Cannot use "${file}" for option "${name}": readers take what is before the colon for a protocol; ` +
      `write "./${file}"`;
    throw new ImageError("usage", message);
  }
}

/**
 * Throws where a new image of such a plan cannot have bitmaps, before anything is created. Only a writer states that, so a
 * disk without guest bytes is created in memory.
 */
export async function requireBitmaps(spec: TargetSpec, format: Format, plan: CreatePlan): Promise<void> {
  const context = {
    createNamed: () => Promise.resolve(new MemoryStorage()),
    backing: null,
    compressor: inlineCompressor,
  };
  const writer = await format.create?.(new MemoryStorage(), { ...plan, size: 0 }, context);
  if (writer && !writer.bitmaps) throw lacksBitmaps(spec, format);
}

/** Returns the error for a target that cannot have bitmaps. */
export function lacksBitmaps({ path, options = {} }: TargetSpec, format: Format): ImageError {
  const given = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const kind = given.length === 0 ? `this kind of ${format.name}` : `${format.name} with ${given.join(",")}`;
  const message = `Cannot copy bitmaps to "${path}": ${kind} has none, leave out --bitmaps or choose another kind`;
  return new ImageError("unsupported", message, { path });
}

/** Starts a new image. It is disposed with `stack`, and its files are removed unless committed. */
export async function createTarget(
  job: TargetJob,
  format: Format,
  plan: CreatePlan,
  backing: OpenedImage | null,
  stack: AsyncDisposableStack,
): Promise<OpenedTarget> {
  const output = stack.use(job.output ?? outputFiles(job.options.files, job.sources, job));
  const path = resolve(job.spec.path);
  const attributes = optionsOf(job.spec, format);
  const open = async (name: string) => {
    const filePath = resolve(dirname(path), name);
    const file = await output.create(filePath);
    if (file.startsZeroed) setFileAttributes(file, filePath, attributes).forEach((message) => job.onNote?.(message));
    return targetStorage(file, job);
  };
  const storage = await open(path);
  const context = {
    name: basename(path),
    createNamed: open,
    backing: backing && backingReader(backing),
    compressor: job.compressor,
  };
  const writer = await format.create?.(storage, withBackingId(plan, backing), context);
  if (!writer) {
    throw new ImageError("unsupported", `Cannot create "${path}": ${format.name} is read-only here`, { path });
  }
  if (output.pipe !== undefined && writer.traits.order !== "ascending") {
    const message = `Cannot write ${format.name} into the pipe "${path}": only what is written from front to end can ` +
      `go there (-O vmdk -o subformat=streamOptimized)`;
    throw new ImageError("unsupported", message, { path });
  }
  return { format, writer, storage, inPlace: output.inPlace, commit: () => output.commit(job.sync) };
}

/** Returns a backing file and its backing chain as one reader. */
function backingReader(backing: OpenedImage): GuestReader {
  return chainOf(backing.layers.map((layer) => layer.disk));
}

/** Returns the plan with the ID of the backing file, which the new image stores. */
function withBackingId(plan: CreatePlan, backing: OpenedImage | null): CreatePlan {
  const id = backing?.layers[0].disk.id;
  return plan.backing && id !== undefined ? { ...plan, backing: { ...plan.backing, id } } : plan;
}

/** Opens an existing image for changes; `backing`: its backing file and backing chain. */
export async function editTarget(
  job: TargetJob,
  stack: AsyncDisposableStack,
): Promise<OpenedTarget & { readonly backing: OpenedImage | null }> {
  const output = stack.use(outputFiles(job.options.files, job.sources, job));
  const path = resolve(job.spec.path);
  const storage = targetStorage(windowFor(await output.edit(path), job.spec), job);
  const format = await formatOf(job, storage);
  if (!format.edit) {
    throw new ImageError("unsupported", `Cannot write into "${path}": ${format.name} is read-only here`, { path });
  }
  let opened: OpenedImage | null = null;
  const writer = await format.edit(storage, {
    compress: job.spec.compress ?? false,
    compressor: job.compressor,
    openNamed: async (file) => await editNamed(file, path, job, output),
    openBacking: async (backing) => {
      const { options, spec } = job;
      opened = stack.use(
        spec.backingOfExisting
          ? await openImage(spec.backingOfExisting, options)
          : await openBacking(backing, path, options),
      );
      return backingReader(opened);
    },
  });
  return { format, writer, storage, inPlace: output.inPlace, backing: opened, commit: () => output.commit(job.sync) };
}

async function formatOf(job: TargetJob, storage: WritableStorage): Promise<Format> {
  const { formats } = job.options;
  if (job.spec.format !== undefined) return formatNamed(job.spec.format, formats, job.spec.path);
  return (await probe(storage, formats)).format;
}

async function editNamed(file: NamedFile, path: string, job: TargetJob, output: OutputFiles): Promise<WritableStorage> {
  const found = await resolveNamed(file, "data file", path, job.options.allowRefs);
  const storage = await output.edit(found);
  refuseMoved(found, storage.identity);
  return targetStorage(storage, job);
}

function windowFor(storage: WritableStorage, spec: TargetSpec): WritableStorage {
  if (spec.offset === undefined && spec.size === undefined) return storage;
  const start = spec.offset ?? 0;
  return writableWindowOf(storage, start, spec.size ?? Math.max(0, storage.size - start));
}
