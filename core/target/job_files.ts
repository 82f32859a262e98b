/**
 * Which files a job touches: what must be allowed for it to run, and no more.
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

/** What {@linkcode jobFiles} of `mod.ts` does. */
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

/** A new file is written beside its place, read to be renamed, and renamed: each by its name, in a folder to be written. */
async function newFiles(target: TargetSpec, options: OpenOptions): Promise<JobFiles> {
  const path = await leadsTo(resolve(target.path));
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

/** An existing target is changed in place; with a data file of its own, that too. What lies beneath it is only read. */
async function existingFiles(
  { path, format, backingOfExisting: below }: TargetSpec,
  options: OpenOptions,
): Promise<JobFiles> {
  const spec = { path, ...(format !== undefined && { format }), ...(below !== undefined && { backing: below }) };
  await using opened = await openImage(spec, options);
  // Files are listed in the order in which they were opened: the top layer's own come first.
  const files = [...opened.files];
  const beneath = opened.layers[1]?.key;
  const own = beneath === undefined ? files.length : files.findIndex(([key]) => key === beneath);
  const written = files.slice(0, own).map(([, file]) => file);
  return { read: opened.paths, write: written };
}

/** Where a link leads; the path itself where nothing is there. */
async function leadsTo(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch {
    return path;
  }
}

function unique(paths: readonly string[]): string[] {
  return [...new Set(paths)];
}
