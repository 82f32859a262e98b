/**
 * Lists the files that a job touches: the permissions that it needs, and no more.
 *
 * @module
 */
import { allFormats, dirname, hostFiles, inlineDecompressor, resolve } from "../../formats/mod.ts";
import type { ConvertContext, ConvertJob, TargetSpec } from "../job.ts";
import { type OpenedImage, openImage, type OpenOptions } from "../open/open.ts";
import { partName } from "./part_name.ts";
import { formatNamed } from "../open/probe.ts";
import { openSources } from "../open/source.ts";
import { openTargetBacking } from "./target.ts";

/** Absolute paths that a job needs. */
export interface JobFiles {
  /** Files to be read. */
  readonly read: readonly string[];
  /** Files and folders to be written. */
  readonly write: readonly string[];
}

/** Implements `jobFiles` of `mod.ts`. */
export async function jobFiles(
  job: ConvertJob,
  context: Pick<ConvertContext, "formats" | "files"> = {},
): Promise<JobFiles> {
  await using stack = new AsyncDisposableStack();
  const options = {
    formats: context.formats ?? allFormats,
    files: context.files ?? hostFiles,
    allowRefs: job.allowRefs ?? [],
    forceShare: job.forceShare ?? false,
    decompressor: inlineDecompressor,
    onWarning: () => {},
  };
  const sources = await openSources(job, options, stack);
  const backing = await openTargetBacking(job.target, options);
  if (backing) stack.use(backing);
  const images: OpenedImage[] = [...sources.images, ...(backing ? [backing] : [])];
  const opened = [...images.flatMap((image) => image.paths), ...(job.allowRefs ?? []).map((path) => resolve(path))];
  const target = job.target.create === false
    ? await existingFiles(job.target, options)
    : await newFiles(job.target, options);
  return { read: unique([...opened, ...target.read]), write: unique(target.write) };
}

/** Returns the files of a new target: it is written under its temporary name, then read and renamed. */
async function newFiles(target: TargetSpec, options: OpenOptions): Promise<JobFiles> {
  const path = await realPathOf(resolve(target.path));
  const names = [path, ...furtherFiles(target, options).map((name) => resolve(dirname(path), name))];
  return {
    read: [resolve(target.path), ...names.flatMap((name) => [name, partName(name)]), partName(resolve(target.path))],
    write: names.map((name) => dirname(name)),
  };
}

function furtherFiles(target: TargetSpec, options: OpenOptions): string[] {
  if (target.format === undefined) return [];
  const { createOptions } = formatNamed(target.format, options.formats);
  const values = createOptions.filter((spec) => spec.type === "file").map((spec) => target.options?.[spec.name]);
  return values.filter((value) => typeof value === "string");
}

/** Returns the files of an existing target: it and the files that it names are written, its backing files only read. */
async function existingFiles(
  { path, format, backingOfExisting: backing }: TargetSpec,
  options: OpenOptions,
): Promise<JobFiles> {
  const spec = { path, ...(format !== undefined && { format }), ...(backing !== undefined && { backing }) };
  await using opened = await openImage(spec, options);
  // Files are listed in the order in which they were opened: those of the top layer first.
  const files = [...opened.files];
  const backingKey = opened.layers[1]?.key;
  const ownCount = backingKey === undefined ? files.length : files.findIndex(([key]) => key === backingKey);
  const written = files.slice(0, ownCount).map(([, file]) => file);
  return { read: opened.paths, write: written };
}

/** Returns the real path; `path` itself where no file exists. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch {
    return path;
  }
}

function unique(paths: readonly string[]): string[] {
  return [...new Set(paths)];
}
