/**
 * From a path to the layers of a disk: storage, format, and what lies beneath. Loops, depth and the files that an image
 * names are dealt with here, once for all formats.
 *
 * @module
 */
import {
  type Decompressor,
  type Disk,
  type Files,
  type Format,
  heldByQemu,
  hostFiles,
  ImageError,
  type NamedFile,
  resolve,
  type SnapshotChoice,
  type Storage,
  type StoredFile,
  windowOf,
} from "../../formats/mod.ts";
import type { ImageSpec } from "../job.ts";
import { resolveNamed } from "./named_files.ts";
import { formatNamed, probe } from "./probe.ts";

/** The longest chain of backing files that is followed. */
export const MAX_DEPTH = 256;

/** How images are opened. */
export interface OpenOptions {
  readonly formats: readonly Format[];
  readonly allowRefs: readonly string[];
  /** Do not ask for locks. */
  readonly forceShare: boolean;
  readonly files?: Files;
  readonly onWarning: (message: string) => void;
  /** Stands in for the files that images name, except backing files: they are not opened then. */
  readonly standIn?: (file: NamedFile, imagePath: string) => Storage;
  readonly decompressor: Decompressor;
}

/** One layer of an opened image. */
export interface Layer {
  readonly path: string;
  /** Which file it is, whatever its name (see `fileKey`). */
  readonly key: string;
  readonly disk: Disk;
  /** The file or the part of it that holds the image. */
  readonly storage: Storage;
  /** Absolute paths of the files that it names and that were opened: data file, extent files. */
  readonly named: readonly string[];
}

/** An opened image: its layers from the top down, and every file that was opened for them. */
export interface OpenedImage extends AsyncDisposable {
  readonly layers: readonly Layer[];
  /** Absolute paths by file key (see `fileKey`). */
  readonly files: ReadonlyMap<string, string>;
  /** Absolute paths of every file that was opened. */
  readonly paths: readonly string[];
  /** Bytes of all these files. */
  readonly fileBytes: number;
}

/** Opens an image and everything beneath it, for reading. */
export async function openImage(spec: ImageSpec, options: OpenOptions): Promise<OpenedImage> {
  await using stack = new AsyncDisposableStack();
  const opener = new ChainOpener(options, stack);
  await opener.descend(spec);
  const owned = stack.move();
  return {
    layers: opener.layers,
    files: opener.files,
    paths: opener.paths,
    fileBytes: opener.fileBytes,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Opens what lies beneath an image that is about to be written: a backing file as that image names it. */
export async function openBeneath(
  backing: NamedFile,
  imagePath: string,
  options: OpenOptions,
): Promise<OpenedImage> {
  await using stack = new AsyncDisposableStack();
  const path = await pathOfBacking(backing, imagePath, options);
  const opened = stack.use(await openImage({ path, ...(backing.format && { format: backing.format }) }, options));
  checkIdentity(opened.layers[0]!, { by: imagePath, file: backing });
  stack.move();
  return opened;
}

/** Where the file lies that an image names as its backing file, by a path or by its ID alone. */
async function pathOfBacking(backing: NamedFile, imagePath: string, options: OpenOptions): Promise<string> {
  if (backing.name !== "" || (backing.others ?? []).length > 0) {
    return await resolveNamed(backing, "backing file", imagePath, options.allowRefs);
  }
  return await (await import("./find_by_id.ts")).findById(backing, imagePath, options);
}

/** An image further down, and by which image it is named. */
interface Beneath {
  readonly spec: ImageSpec;
  readonly named: { readonly by: string; readonly file: NamedFile } | null;
}

class ChainOpener {
  readonly layers: Layer[] = [];
  readonly files = new Map<string, string>();
  readonly paths: string[] = [];
  fileBytes = 0;

  constructor(readonly options: OpenOptions, readonly stack: AsyncDisposableStack) {}

  async descend(top: ImageSpec): Promise<void> {
    let next: Beneath | null = { spec: top, named: null };
    while (next) {
      const { spec, named }: Beneath = next;
      const path = resolve(spec.path);
      if (this.layers.length === MAX_DEPTH) {
        const message = `Cannot open "${path}": the chain is deeper than ${MAX_DEPTH} images`;
        throw new ImageError("unsupported", message, { path });
      }
      const layer: Layer = await this.openLayer(path, spec, named?.by ?? null);
      if (named) checkIdentity(layer, named);
      this.layers.push(layer);
      next = await this.beneath(path, spec, layer.disk);
    }
  }

  /** The next image down, as the user or the image states it. */
  async beneath(path: string, spec: ImageSpec, disk: Disk): Promise<Beneath | null> {
    if (spec.backing !== undefined) return spec.backing && { spec: spec.backing, named: null };
    if (!disk.backing) return null;
    const { format } = disk.backing;
    const file = await pathOfBacking(disk.backing, path, this.options);
    return { spec: { path: file, ...(format !== undefined && { format }) }, named: { by: path, file: disk.backing } };
  }

  async openLayer(path: string, spec: ImageSpec, namedBy: string | null): Promise<Layer> {
    const file = await this.openFile(path);
    const own = this.paths.length;
    const storage = windowFor(file, spec);
    const format = await this.formatOf(storage, spec, namedBy);
    const disk = await format.open(storage, {
      ...(spec.snapshot && { snapshot: checkSnapshots(format, spec.snapshot, path) }),
      decompressor: this.options.decompressor,
      openNamed: (named) => this.openNamed(named, path, spec),
    });
    return { path, disk, key: fileKey(file, path), storage, named: this.paths.slice(own) };
  }

  async formatOf(storage: Storage, spec: ImageSpec, namedBy: string | null): Promise<Format> {
    const { formats, onWarning } = this.options;
    if (spec.format !== undefined) return formatNamed(spec.format, formats, storage.label);
    const { format, guessed } = await probe(storage, formats);
    if (namedBy !== null) {
      onWarning(`"${namedBy}" does not say the format of its backing file "${storage.label}"; taken as ${format.name}`);
    } else if (guessed) {
      onWarning(`no format is recognised in "${storage.label}"; taken as raw (-f raw says so)`);
    }
    return format;
  }

  async openNamed(named: NamedFile, imagePath: string, spec: ImageSpec): Promise<Storage> {
    if (this.options.standIn) return this.options.standIn(named, imagePath);
    const path = spec.dataFile === undefined
      ? await resolveNamed(named, "data file", imagePath, this.options.allowRefs)
      : resolve(spec.dataFile);
    return await this.openFile(path);
  }

  /** Opens one file; each at most once, which also ends every loop. */
  async openFile(path: string): Promise<StoredFile> {
    const file = this.stack.use(await (this.options.files ?? hostFiles).open(path));
    const key = fileKey(file, path);
    if (this.files.has(key)) {
      throw new ImageError("corrupt", `Cannot open "${path}": it lies beneath itself, the chain has a loop`, { path });
    }
    this.files.set(key, path);
    this.paths.push(path);
    this.fileBytes += file.size;
    if (!this.options.forceShare) await refuseInUse(file, path);
    return file;
  }
}

/** A key that all names of one file share, and all nodes of one device; the path where the host does not tell. */
export function fileKey({ identity }: StoredFile, path: string): string {
  if (!identity) return path;
  return identity.device === undefined ? `${identity.dev}:${identity.ino}` : `device ${identity.device}`;
}

/** A file of the right name may not be the right file: it was replaced, or changed since the image above was made. */
function checkIdentity({ path, disk }: Layer, named: NonNullable<Beneath["named"]>): void {
  const { id, otherIds = [] } = named.file;
  if (id === undefined || disk.id === id || (disk.id !== undefined && otherIds.includes(disk.id))) return;
  const found = disk.id === undefined ? `${disk.format} images have none` : `"${disk.id}"`;
  const message = `Cannot use "${path}" beneath "${named.by}": its ID is ${found}, and must be "${id}"; ` +
    `it is another file, or has been changed since`;
  throw new ImageError("corrupt", message, { path });
}

/** Takes a lock for reading, and refuses a file that a virtual machine is writing. For this folder only. */
export async function refuseInUse(file: StoredFile, path: string): Promise<void> {
  try {
    await file.lock(false);
  } catch (error) {
    if (!(error instanceof ImageError && error.kind === "refused")) throw error;
    throw new ImageError("refused", `${error.message}; -U reads it nevertheless`, { path, cause: error });
  }
  if (await heldByQemu(path, "read")) {
    const message =
      `Cannot read "${path}": a virtual machine has it open for writing, so that what is read may be torn; ` +
      `stop it, or read nevertheless with -U`;
    throw new ImageError("refused", message, { path });
  }
}

function windowFor(file: Storage, spec: ImageSpec): Storage {
  if (spec.offset === undefined && spec.size === undefined) return file;
  const start = spec.offset ?? 0;
  return windowOf(file, start, spec.size ?? Math.max(0, file.size - start));
}

function checkSnapshots(format: Format, snapshot: SnapshotChoice, path: string): SnapshotChoice {
  if (format.has.snapshots) return snapshot;
  throw new ImageError("unsupported", `Cannot load a snapshot of "${path}": ${format.name} has no snapshots`, { path });
}
