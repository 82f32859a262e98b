/**
 * Opens an existing image for checking or changing: locks its file, finds its format, and opens the files that it names
 * where that is allowed.
 *
 * @module
 */
import {
  basename,
  type ChangeContext,
  type CheckContext,
  dirname,
  type Disk,
  type Files,
  type Format,
  ImageError,
  join,
  type Maintenance,
  type NamedFile,
  type NewFile,
  resolve,
  type StoredFile,
  type WritableStorage,
} from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, ImageSpec, SyncMode } from "./job.ts";
import type { JobFiles } from "./target/job_files.ts";
import { refuseMoved, resolveNamed } from "./open/named_files.ts";
import { openBacking, type OpenedImage, openImage, type OpenOptions } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { outputFiles, type SourceFiles } from "./target/output_file.ts";
import { type Throttle, throttleOf } from "./throttle.ts";
import { formatNamed, probe } from "./open/probe.ts";
import { targetStorage } from "./target/target_storage.ts";

/** Options of all jobs that change an image. */
export interface ChangeOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** `always`: synced after every write. Where the order of changes matters they are synced in any case. */
  readonly sync?: SyncMode;
  /** Whether a block device is changed although it is mounted or otherwise in use: what is on it is lost. */
  readonly forceDevice?: boolean;
}

/** An image to change: a whole file. */
export type ChangeSpec = Pick<ImageSpec, "path" | "format" | "backing" | "dataFile">;

/** An image that is open for changing. */
export interface ChangedImage {
  /** Absolute. */
  readonly path: string;
  readonly format: Format;
  /** Whether the file is taken as raw although nothing is recognised in it. */
  readonly guessed: boolean;
  readonly storage: WritableStorage;
  readonly context: ChangeContext;
  readonly open: OpenOptions & { readonly files: Files };
  readonly throttle: Throttle;
  /** Opens the image in its current state for reading. Files that it names are opened without a lock. */
  read(): Promise<Disk>;
  /** Opens the backing file that the image names, or that the caller states in its place; `null` without one. */
  openBacking(backing: NamedFile | null): Promise<OpenedImage | null>;
}

/**
 * Opens the image of `spec` for changing. Everything that is opened is disposed with `stack`.
 *
 * @param sources files that must not be changed, see `outputFiles`
 * @throws ImageError `missing`, `permission`, `refused` where another program has it open
 */
export async function openForChange(
  spec: ChangeSpec,
  options: ChangeOptions,
  stack: AsyncDisposableStack,
  sources: SourceFiles = new Map(),
): Promise<ChangedImage> {
  const open = openOptions(options);
  const output = stack.use(outputFiles(open.files, sources, options));
  const path = resolve(spec.path);
  const throttle = throttleOf(options.signal, 0, options.paused);
  const checkpoint = reportingCheckpoint(throttle, options.onEvent);
  options.onEvent?.({ type: "phase", phase: "inspect" });
  const storageOptions = { sync: options.sync ?? "finish", checkpoint };
  const edit = async (path: string, isNamed: boolean) => {
    const file = await output.edit(path);
    if (isNamed) refuseMoved(path, file.identity);
    return targetStorage(file, storageOptions);
  };
  const storage = await edit(path, false);
  const { format, guessed } = spec.format === undefined
    ? await probe(storage, open.formats)
    : { format: formatNamed(spec.format, open.formats, path), guessed: false };
  const openOwnBacking: ChangedImage["openBacking"] = async (backing) => {
    if (spec.backing === null || (spec.backing === undefined && backing === null)) return null;
    return stack.use(await (spec.backing ? openImage(spec.backing, open) : openBacking(backing!, path, open)));
  };
  // A verb may open a file twice, but it can be locked only once.
  const named = new Map<string, Promise<WritableStorage>>();
  const context: ChangeContext = {
    checkpoint,
    openNamed: async (file) => {
      const path = await namedPath(spec, file, open);
      const opened = named.get(path) ?? edit(path, spec.dataFile === undefined);
      named.set(path, opened);
      return await opened;
    },
    openBacking: async (backing) => chainOf((await openOwnBacking(backing))?.layers.map((layer) => layer.disk) ?? []),
    createNamed: (name) => createBeside(path, name, open.files, stack),
  };
  const read = () =>
    format.open(storage, {
      decompressor: open.decompressor,
      openNamed: async (file) => stack.use(await openNamed(spec, file, open)),
      onWarning: open.onWarning,
    });
  return { path, format, guessed, storage, context, open, throttle, read, openBacking: openOwnBacking };
}

/** Opens a data file that the image of `spec` names, or that the caller states in its place. */
export async function openNamed(
  spec: ChangeSpec,
  file: NamedFile,
  open: OpenOptions & { readonly files: Files },
): Promise<StoredFile> {
  const path = await namedPath(spec, file, open);
  const opened = await open.files.open(path);
  if (spec.dataFile === undefined) refuseMoved(path, opened.identity);
  return opened;
}

/** Returns the path of a data file that the image of `spec` names, or that the caller states in its place. */
async function namedPath(spec: ChangeSpec, file: NamedFile, open: OpenOptions): Promise<string> {
  if (spec.dataFile !== undefined) return resolve(spec.dataFile);
  return await resolveNamed(file, "data file", resolve(spec.path), open.allowRefs);
}

/** Runs `work` as the phase `copy`, then emits the phase `finish`. */
export async function withPhases<Result>(
  { onEvent = () => {} }: Pick<ChangeOptions, "onEvent">,
  work: () => Promise<Result>,
): Promise<Result> {
  onEvent({ type: "phase", phase: "copy" });
  const result = await work();
  onEvent({ type: "phase", phase: "finish" });
  return result;
}

/** Smallest difference between two reported shares. */
const SHARE_STEP = 0.001;

/** Returns a checkpoint that also emits progress; the reported share only rises. */
export function reportingCheckpoint(throttle: Throttle, onEvent: ChangeOptions["onEvent"]): CheckContext["checkpoint"] {
  let reported = 0;
  return (share = 0) => {
    if (share >= reported + SHARE_STEP) onEvent?.({ type: "progress", share: reported = share });
    return throttle.checkpoint();
  };
}

/** Creates a file in the folder of the image. Throws where a file of that name exists. */
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
  if (basename(name) !== name || name.includes("\\")) refuse("it would not be in the folder of the image");
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
 * Returns the verb `name` of the format of an image.
 *
 * @param doing the verb for the message, such as `resize`
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

/** Implements `changeFiles` of `mod.ts`. */
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
