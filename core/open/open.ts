/**
 * Opens an image and its backing chain: storage, format and layers. Detects loops, limits the depth, and opens the files
 * that images name, for all formats.
 *
 * @module
 */
import {
  type Decompressor,
  dirname,
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
import type { WarningListener } from "../events.ts";
import type { ImageSpec } from "../job.ts";
import { refuseMoved, resolveNamed } from "./named_files.ts";
import { formatNamed, probe } from "./probe.ts";

/** Most layers of a backing chain; of their files, few are open at the same time. */
export const MAX_DEPTH = 512;

/** Options for opening images. */
export interface OpenOptions {
  readonly formats: readonly Format[];
  readonly allowRefs: readonly string[];
  /** Whether files are opened without locks. */
  readonly forceShare: boolean;
  readonly files?: Files;
  readonly onWarning: WarningListener;
  /** Returns the storage to use in place of a file that an image names, which is not opened. Not for backing files. */
  readonly substitute?: (file: NamedFile, imagePath: string) => Storage;
  /** Decompresses clusters, maybe in workers. */
  readonly decompressor: Decompressor;
}

/** One layer of an opened image. */
export interface Layer {
  readonly path: string;
  /** Identity of its file, whatever its name (see `fileKey`). */
  readonly key: string;
  readonly disk: Disk;
  /** The file, or the window of it that holds the image. */
  readonly storage: Storage;
  /** Absolute paths of the opened files that it names: data file, extent files. */
  readonly named: readonly string[];
}

/** An opened image: its layers from the top down, and every file that was opened for them. */
export interface OpenedImage extends AsyncDisposable {
  readonly layers: readonly Layer[];
  /** Absolute paths by file key (see `fileKey`). */
  readonly files: ReadonlyMap<string, string>;
  /** Absolute paths of every file that was opened, and of every folder that was searched for a parent. */
  readonly paths: readonly string[];
  /** Bytes of all these files. */
  readonly fileBytes: number;
  /** Those of them that are block devices. */
  readonly devices: readonly StoredFile[];
}

/** Opens an image and its backing chain for reading; `named`: the image that names it, where one does. */
export async function openImage(
  spec: ImageSpec,
  options: OpenOptions,
  named: NextLayer["named"] = null,
): Promise<OpenedImage> {
  await using stack = new AsyncDisposableStack();
  const opener = new ChainOpener(options, stack);
  await opener.descend(spec, named);
  const owned = stack.move();
  return {
    layers: opener.layers,
    files: opener.files,
    paths: opener.paths,
    fileBytes: opener.fileBytes,
    devices: opener.devices,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Opens the backing file of an image that is about to be written, as that image names it, with its backing chain. */
export async function openBacking(
  backing: NamedFile,
  imagePath: string,
  options: OpenOptions,
): Promise<OpenedImage> {
  const path = await pathOfBacking(backing, imagePath, options);
  const spec = { path, ...(backing.format && { format: backing.format }) };
  return await openImage(spec, options, { by: imagePath, file: backing });
}

/** Returns the path of the backing file that an image names, by a path or by its ID alone. */
async function pathOfBacking(backing: NamedFile, imagePath: string, options: OpenOptions): Promise<string> {
  if (isKnownByIdAlone(backing)) return await (await import("./find_by_id.ts")).findById(backing, imagePath, options);
  return await resolveNamed(backing, "backing file", imagePath, options.allowRefs);
}

/** Whether the image states no path of its backing file, so that the files beside it are searched for the ID. */
function isKnownByIdAlone({ name, others = [] }: NamedFile): boolean {
  return name === "" && others.length === 0;
}

/** An image that names files, and those of them that are open, by key. */
interface NamingImage {
  readonly path: string;
  readonly spec: ImageSpec;
  readonly opened: Map<string, StoredFile>;
}

/** A layer to open; `named`: the image that names it, and how. */
interface NextLayer {
  readonly spec: ImageSpec;
  readonly named: { readonly by: string; readonly file: NamedFile } | null;
}

class ChainOpener {
  readonly layers: Layer[] = [];
  readonly files = new Map<string, string>();
  readonly paths: string[] = [];
  fileBytes = 0;
  readonly devices: StoredFile[] = [];

  constructor(readonly options: OpenOptions, readonly stack: AsyncDisposableStack) {}

  async descend(top: ImageSpec, namedBy: NextLayer["named"]): Promise<void> {
    let next: NextLayer | null = { spec: top, named: namedBy };
    while (next) {
      const { spec, named }: NextLayer = next;
      const path = resolve(spec.path);
      if (this.layers.length === MAX_DEPTH) {
        const message = `Cannot open "${path}": the chain is deeper than ${MAX_DEPTH} images`;
        throw new ImageError("unsupported", message, { path });
      }
      const layer: Layer = await this.openLayer(path, spec, named?.by ?? null);
      if (named) checkIdentity(layer, named);
      this.layers.push(layer);
      next = await this.backingOf(path, spec, layer.disk);
    }
  }

  /** Returns the backing file of a layer, as the user or the image states it. */
  async backingOf(path: string, spec: ImageSpec, disk: Disk): Promise<NextLayer | null> {
    if (spec.backing !== undefined) return spec.backing && { spec: spec.backing, named: null };
    if (!disk.backing) return null;
    const { format } = disk.backing;
    const file = await pathOfBacking(disk.backing, path, this.options);
    if (isKnownByIdAlone(disk.backing)) this.paths.push(dirname(file));
    return { spec: { path: file, ...(format !== undefined && { format }) }, named: { by: path, file: disk.backing } };
  }

  async openLayer(path: string, spec: ImageSpec, namedBy: string | null): Promise<Layer> {
    const file = await this.openFile(path, namedBy !== null);
    const own = this.paths.length;
    const storage = windowFor(file, spec);
    const opened = new Map<string, StoredFile>();
    const format = await this.formatOf(storage, spec, namedBy);
    const disk = await format.open(storage, {
      ...(spec.snapshot && { snapshot: checkSnapshots(format, spec.snapshot, path) }),
      ...(spec.sizeRule && { sizeRule: spec.sizeRule }),
      decompressor: this.options.decompressor,
      openNamed: (file) => this.openNamed(file, { path, spec, opened }),
      onWarning: this.options.onWarning,
    });
    return { path, disk, key: fileKey(file, path), storage, named: this.paths.slice(own) };
  }

  async formatOf(storage: Storage, spec: ImageSpec, namedBy: string | null): Promise<Format> {
    const { formats, onWarning } = this.options;
    if (spec.format !== undefined) return formatNamed(spec.format, formats, storage.label);
    const { format, guessed } = await probe(storage, formats);
    if (namedBy !== null) {
      onWarning(
        `"${namedBy}" does not state the format of its backing file "${storage.label}"; taken as ${format.name}`,
        true,
      );
    } else if (guessed) {
      onWarning(`no format is recognised in "${storage.label}"; taken as raw (-f raw says so)`, true);
    }
    return format;
  }

  async openNamed(named: NamedFile, { path: imagePath, spec, opened }: NamingImage): Promise<Storage> {
    if (this.options.substitute) return this.options.substitute(named, imagePath);
    if (spec.dataFile !== undefined) return await this.openFile(resolve(spec.dataFile), false, opened);
    const path = await resolveNamed(named, "data file", imagePath, this.options.allowRefs);
    return await this.openFile(path, true, opened);
  }

  /**
   * Opens a file; `isNamed`: an image names it. Throws where it is open already: the chain has a loop.
   *
   * @param opened files by key that the same image names: it may name one several times, by several names
   */
  async openFile(path: string, isNamed: boolean, opened?: Map<string, StoredFile>): Promise<StoredFile> {
    const file = this.stack.use(await (this.options.files ?? hostFiles).open(path));
    if (isNamed) refuseMoved(path, file.identity);
    const key = fileKey(file, path);
    const known = opened?.get(key);
    if (known) {
      await file[Symbol.asyncDispose]();
      return known;
    }
    opened?.set(key, file);
    if (this.files.has(key)) {
      throw new ImageError("corrupt", `Cannot open "${path}": it is in its own backing chain, which has a loop`, {
        path,
      });
    }
    this.files.set(key, path);
    this.paths.push(path);
    this.fileBytes += file.size;
    if (file.isDevice) this.devices.push(file);
    if (!this.options.forceShare) await refuseInUse(file, path);
    return file;
  }
}

/** Returns a key that is equal for all names of one file and all nodes of one device; the path where there is no identity. */
export function fileKey({ identity }: StoredFile, path: string): string {
  if (!identity) return path;
  return identity.device === undefined ? `${identity.dev}:${identity.ino}` : `device ${identity.device}`;
}

/** Throws where the ID of a backing file is not the one that the image stores: it was replaced or changed since. */
function checkIdentity({ path, disk }: Layer, named: NonNullable<NextLayer["named"]>): void {
  const { id, otherIds = [] } = named.file;
  if (id === undefined || disk.id === id || (disk.id !== undefined && otherIds.includes(disk.id))) return;
  const found = disk.id === undefined ? `${disk.format} images have none` : `"${disk.id}"`;
  const message =
    `Cannot use "${path}" as the backing file of "${named.by}": its ID is ${found}, and must be "${id}"; ` +
    `it is another file, or has been changed since`;
  throw new ImageError("corrupt", message, { path });
}

/** Takes a shared lock, and throws `refused` for a file that QEMU has open for writing. */
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
