/**
 * An existing image, open for checking or changing: one file that is locked, its format, and the gate for the files
 * that it names.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";
import {
  type ChangeContext,
  type Files,
  type Format,
  heldByQemu,
  ImageError,
  type Maintenance,
  type NewFile,
  type WritableStorage,
} from "../formats/mod.ts";
import { chainOf } from "./chain.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import type { JobFiles } from "./job_files.ts";
import { resolveNamed } from "./named_files.ts";
import { openBeneath, openImage, type OpenOptions } from "./open.ts";
import { type OpenDiskOptions, openOptions } from "./open_disk.ts";
import { outputFiles, type SourceFiles } from "./output_file.ts";
import { type Pace, paceOf } from "./pace.ts";
import { formatNamed, probe } from "./probe.ts";

/** What a change may be told. */
export interface ChangeOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {}

/** The image to be changed: a whole file. */
export type ChangeSpec = Pick<ImageSpec, "path" | "format">;

/** An image that is open for changing. */
export interface ChangedImage {
  /** Absolute. */
  readonly path: string;
  readonly format: Format;
  readonly storage: WritableStorage;
  readonly context: ChangeContext;
  readonly open: OpenOptions & { readonly files: Files };
  readonly pace: Pace;
}

/**
 * Opens the image of `spec` for changing; everything opened goes with `stack`.
 *
 * @param sources files that must not be changed, see `outputFiles`
 * @throws ImageError `missing`, `permission`, `refused` where somebody else has it open
 */
export async function openForChange(
  spec: ChangeSpec,
  options: ChangeOptions,
  stack: AsyncDisposableStack,
  sources: SourceFiles = new Map(),
): Promise<ChangedImage> {
  const open = openOptions(options);
  const output = stack.use(outputFiles(open.files, sources));
  const path = resolve(spec.path);
  const storage = await output.edit(path);
  if (heldByQemu(path)) {
    const message = `Cannot change "${path}": a virtual machine has it open; stop it first`;
    throw new ImageError("refused", message, { path });
  }
  const format = spec.format === undefined
    ? (await probe(storage, open.formats)).format
    : formatNamed(spec.format, open.formats, path);
  const pace = paceOf(options.signal, 0, options.paused);
  const context: ChangeContext = {
    pause: () => pace.pause(),
    openNamed: async (file) => await output.edit(await resolveNamed(file, "data file", path, open.allowRefs)),
    openBelow: async (backing) => {
      const below = stack.use(await openBeneath(backing, path, open));
      return chainOf(below.layers.map((layer) => layer.disk));
    },
    createNamed: (name) => createBeside(path, name, open.files, stack),
  };
  return { path, format, storage, context, open, pace };
}

/** A new file beside the image, under a name that is free. */
async function createBeside(
  image: string,
  name: string,
  files: Files,
  stack: AsyncDisposableStack,
): Promise<NewFile> {
  const path = join(dirname(await Deno.realPath(image)), name);
  const refuse = (why: string) => {
    throw new ImageError("refused", `Cannot create "${path}" for "${image}": ${why}`, { path });
  };
  if (basename(name) !== name || name.includes("\\")) refuse("it would not lie in the folder of the image");
  if (await isThere(files, path)) refuse("there is a file of that name; give that one another name");
  const output = stack.use(outputFiles(files, new Map()));
  return { storage: await output.create(path), publish: () => output.commit("finish") };
}

async function isThere(files: Files, path: string): Promise<boolean> {
  try {
    await using _file = await files.open(path);
    return true;
  } catch (error) {
    if (error instanceof ImageError && error.kind === "missing") return false;
    throw error;
  }
}

/**
 * The verb `name` of the image's format.
 *
 * @param doing what it does, for the message: `resize`
 * @throws ImageError `unsupported` where the format lacks it
 */
export function verbOf<Name extends keyof Maintenance>(
  { format, path }: Pick<ChangedImage, "format" | "path">,
  name: Name,
  doing: string,
): NonNullable<Maintenance[Name]> {
  const verb = format.maintenance?.[name];
  if (verb !== undefined) return verb as NonNullable<Maintenance[Name]>;
  throw new ImageError("unsupported", `Cannot ${doing} "${path}": ${format.name} images cannot`, { path });
}

/**
 * The files that changing the image of `spec` touches, opened to find out: its own are written, those beneath are read.
 *
 * @param options `chain: false`: what lies beneath is not touched
 * @param further images that are read besides
 */
export async function changeFiles(
  spec: ChangeSpec,
  options: OpenDiskOptions & { readonly chain?: boolean } = {},
  further: readonly ImageSpec[] = [],
): Promise<JobFiles> {
  await using stack = new AsyncDisposableStack();
  const alone = options.chain === false ? { backing: null } : {};
  const opened = stack.use(await openImage({ ...spec, ...alone }, openOptions(options)));
  const read = [...opened.paths, ...(options.allowRefs ?? []).map((folder) => resolve(folder))];
  for (const image of further) read.push(...stack.use(await openImage(image, openOptions(options))).paths);
  const [top] = opened.layers;
  return { read: [...new Set(read)], write: top ? [top.path, ...top.named] : [] };
}

/** Guest bytes of the image as it is. Files that it names are looked at, not locked. */
export async function sizeOf({ format, storage, path, open }: ChangedImage): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const disk = await format.open(storage, {
    openNamed: async (file) =>
      stack.use(await open.files.open(await resolveNamed(file, "data file", path, open.allowRefs))),
  });
  stack.use(disk);
  return disk.size;
}
