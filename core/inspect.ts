/**
 * Inspects images from their metadata. Locates the files that an image names; opens them only for the chain, or where the
 * format needs them for the size of the disk.
 *
 * @module
 */
import {
  basename,
  dirname,
  type FormatInfo,
  ImageError,
  type InfoValue,
  isAbsolute,
  type NamedFile,
  resolve,
  type Storage,
} from "../formats/mod.ts";
import type { ImageSpec } from "./job.ts";
import { isProtocol, resolveNamed } from "./open/named_files.ts";
import { type Layer, openImage, type OpenOptions } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";

/** A file that an image names, and whether it may be opened. */
export interface NamedFileInfo {
  /** Its role in the image. */
  readonly role: "backing file" | "data file";
  /** As stored in the image; empty where the image stores only its ID. */
  readonly name: string;
  /** Its format, where the image states it. */
  readonly format?: string;
  /** Its real path, where it was found. */
  readonly path?: string;
  /**
   * `found`: it may be opened; `refused`: it is outside the folder of the image, or the name is no path; `unknown`: Deno
   * has no permission to look.
   */
  readonly state: "found" | "missing" | "refused" | "unknown";
  /** Why it was not found. */
  readonly reason?: string;
}

/** An internal snapshot. */
export interface SnapshotInfo {
  /** Unique in the image. */
  readonly id: string;
  /** Given by the user. */
  readonly name: string;
  /** Bytes of the saved machine state. */
  readonly vmStateSize: number;
  /** When it was taken: seconds since 1970-01-01. */
  readonly dateSeconds: number;
  /** Nanoseconds beyond that second. */
  readonly dateNanoseconds: number;
  /** Guest run time in seconds. */
  readonly clockSeconds: number;
  /** Nanoseconds beyond that second. */
  readonly clockNanoseconds: number;
  /** Executed instructions, where QEMU counts them (icount). */
  readonly instructions?: number;
}

/** Result of {@linkcode inspect}. Sizes in bytes. */
export interface ImageInfo {
  /** As given; for a backing file, its name as stored in the image above, relative to the same folder as the first path. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /**
   * Bytes that the host has allocated for its file and its extent files; absent where the host does not report them.
   */
  readonly allocated?: number;
  /** Length of the file. */
  readonly fileSize?: number;
  /** Bytes that it allocates at once (cluster, grain, block); absent where its format has none. */
  readonly clusterSize?: number;
  /** Whether it was not closed properly: its dirty flag is set. */
  readonly dirty: boolean;
  /** Its backing file as stored in the image; `path` is relative to the same folder as {@linkcode path}. */
  readonly backing?: { readonly name: string; readonly format?: string; readonly path: string };
  /** Its internal snapshots, in the order of the image. */
  readonly snapshots: readonly SnapshotInfo[];
  /** Properties of its format. */
  readonly specific: FormatInfo;
  /** All files that it names. */
  readonly names: readonly NamedFileInfo[];
  /** The files that it consists of: its extent files, then the file of the image itself. */
  readonly files: readonly ImageFileInfo[];
}

/** One of the files of an image. Sizes in bytes. */
export interface ImageFileInfo {
  /** As QEMU calls it: `file`, or `extents.N` for the extent file with index N. */
  readonly node: string;
  /** Its name relative to the same folder as {@linkcode ImageInfo.path}. */
  readonly path: string;
  /** Bytes that the host has allocated for it; absent where the host does not report them. */
  readonly allocated?: number;
  /** Its length; absent where it was not found or Deno is not allowed to look. */
  readonly fileSize?: number;
  /** Whether it is a block device, whose length is that of the image. */
  readonly isDevice?: true;
}

/** Properties of `Disk.info` that have a member of their own in {@linkcode ImageInfo}. */
const GENERAL = ["cluster-size", "dirty-flag", "snapshots"];

/** Implements `inspect` of `mod.ts`. */
export async function inspect(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo> {
  const spec = typeof image === "string" ? { path: image } : image;
  return (await inspectLayers({ ...spec, backing: null }, options))[0];
}

/** Implements `inspectChain` of `mod.ts`. */
export async function inspectChain(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo[]> {
  return await inspectLayers(typeof image === "string" ? { path: image } : image, options);
}

/** A file that a format requested while it opened an image. */
interface Requested {
  readonly file: NamedFile;
  readonly imagePath: string;
}

async function inspectLayers(spec: ImageSpec, options: OpenDiskOptions): Promise<ImageInfo[]> {
  const requested: Requested[] = [];
  const open = openOptions(options);
  const substitute = (file: NamedFile, imagePath: string) => {
    requested.push({ file, imagePath });
    return closedFile(file);
  };
  try {
    await using image = await openImage(spec, { ...open, substitute });
    return await infosOf(spec, image.layers, requested, open);
  } catch (error) {
    // The format must read the files that it names to know the size of the disk.
    if (requested.length === 0 || !(error instanceof ImageError)) throw error;
  }
  await using image = await openImage(spec, open);
  return await infosOf(spec, image.layers, requested, open);
}

/** Returns a substitute for a file that is not opened: empty and unreadable. */
function closedFile({ name }: NamedFile): Storage {
  return {
    label: name,
    size: 0,
    readAt: () => Promise.reject(new ImageError("refused", `Cannot read "${name}": named files are not opened`)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function infosOf(
  spec: ImageSpec,
  layers: readonly Layer[],
  requested: readonly Requested[],
  options: OpenOptions,
): Promise<ImageInfo[]> {
  const infos: ImageInfo[] = [];
  let path = spec.path;
  for (const layer of layers) {
    const named = requested.filter(({ imagePath }) => imagePath === layer.path).map(({ file }) => file);
    const info = await infoOf(path, layer, named, options);
    infos.push(info);
    path = info.backing?.path ?? "";
  }
  return infos;
}

async function infoOf(
  path: string,
  layer: Layer,
  named: readonly NamedFile[],
  { allowRefs }: OpenOptions,
): Promise<ImageInfo> {
  const { disk } = layer;
  const { backing, info } = disk;
  const shown = path === "" ? layer.path : path;
  const names = backing ? [await nameOf(backing, "backing file", layer.path, allowRefs)] : [];
  const extentFiles = fileNamesIn(info);
  const others = extentFiles.filter((name) => !named.some((file) => file.name === name)).map((name) => ({ name }));
  for (const file of [...named, ...others]) names.push(await nameOf(file, "data file", layer.path, allowRefs));
  const files: ImageFileInfo[] = [{ node: "file", path: shown, ...await sizesOf(layer.path) }];
  for (const [index, name] of extentFiles.entries()) {
    const found = names.find((file) => file.role === "data file" && file.name === name)?.path;
    const sizes = found === undefined ? {} : await sizesOf(found);
    files.unshift({ node: `extents.${index}`, path: besideImage(shown, name), ...sizes });
  }
  const { fileSize } = files.at(-1)!;
  const allocated = files.flatMap((file) => file.allocated ?? []);
  return {
    path: shown,
    format: disk.format,
    size: disk.size,
    ...(fileSize !== undefined && { fileSize }),
    ...(allocated.length > 0 && { allocated: allocated.reduce((sum, bytes) => sum + bytes) }),
    ...(disk.clusterSize > 1 && { clusterSize: disk.clusterSize }),
    dirty: info["dirty-flag"] === true,
    ...(backing && {
      backing: {
        name: backing.name,
        ...(backing.format !== undefined && { format: backing.format }),
        path: backing.name === "" ? "" : besideImage(shown, backing.name),
      },
    }),
    snapshots: listOf(info["snapshots"]).map(snapshotOf),
    specific: withPaths(Object.fromEntries(Object.entries(info).filter(([name]) => !GENERAL.includes(name))), shown),
    names,
    files,
  };
}

/** The property of format information that holds the name of a file of the image; empty: the file of the image itself. */
const FILE_NAME = "filename";

/** Returns the names of the files in format information, each once. */
function fileNamesIn(info: InfoValue): string[] {
  if (info === null || typeof info !== "object") return [];
  const own = !isList(info) && typeof info[FILE_NAME] === "string" && info[FILE_NAME] !== "" ? [info[FILE_NAME]] : [];
  return [...new Set([...own, ...Object.values(info).flatMap(fileNamesIn)])];
}

/** Returns format information with paths in place of names of files. */
function withPaths(info: FormatInfo, imagePath: string): FormatInfo {
  const shown = (value: InfoValue): InfoValue => {
    if (value === null || typeof value !== "object") return value;
    return isList(value) ? value.map(shown) : withPaths(value, imagePath);
  };
  return Object.fromEntries(
    Object.entries(info).map(([name, value]) =>
      name === FILE_NAME && typeof value === "string"
        ? [name, value === "" ? imagePath : besideImage(imagePath, value)]
        : [name, shown(value)]
    ),
  );
}

function isList(value: InfoValue): value is readonly InfoValue[] {
  return Array.isArray(value);
}

/**
 * Returns a name stored in an image as a path relative to the same folder as `imagePath`. Keeps `..` as it is, as
 * qemu-img does: behind a symbolic link it is another folder.
 */
function besideImage(imagePath: string, name: string): string {
  if (isAbsolute(name) || isProtocol(name)) return name;
  return `${imagePath.slice(0, imagePath.length - basename(imagePath).length)}${name}`;
}

async function sizesOf(path: string): Promise<Pick<ImageFileInfo, "allocated" | "fileSize" | "isDevice">> {
  try {
    const { size, blocks, isBlockDevice } = await Deno.stat(path);
    const allocated = blocks === null ? {} : { allocated: blocks * 512 };
    // The host states no length of a device.
    return isBlockDevice ? { ...allocated, isDevice: true } : { ...allocated, fileSize: size };
  } catch {
    return {};
  }
}

async function nameOf(
  file: NamedFile,
  role: NamedFileInfo["role"],
  imagePath: string,
  allowRefs: readonly string[],
): Promise<NamedFileInfo> {
  const { name, others = [], format } = file;
  const about = { role, name, ...(format !== undefined && { format }) };
  if (name === "" && others.length === 0) return { ...about, state: "unknown", reason: "the image states only its ID" };
  const paths = [name, ...others].map((path) => resolve(dirname(imagePath), path));
  // Queried, not tried: an attempt would prompt the user for a permission.
  const states = await Promise.all(paths.map((path) => Deno.permissions.query({ name: "read", path })));
  if (!isProtocol(name) && states.every(({ state }) => state !== "granted")) {
    return { ...about, state: "unknown", reason: "Deno is not allowed to look" };
  }
  try {
    return { ...about, state: "found", path: await resolveNamed(file, role, imagePath, allowRefs) };
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    const state = error.kind === "missing" || error.kind === "refused" ? error.kind : "unknown";
    return { ...about, state, reason: error.message };
  }
}

function listOf(value: InfoValue | undefined): readonly InfoValue[] {
  return Array.isArray(value) ? value : [];
}

function snapshotOf(value: InfoValue): SnapshotInfo {
  const info = value as FormatInfo;
  const number = (name: string) => Number(info[name] ?? 0);
  return {
    id: String(info["id"]),
    name: String(info["name"]),
    vmStateSize: number("vm-state-size"),
    dateSeconds: number("date-sec"),
    dateNanoseconds: number("date-nsec"),
    clockSeconds: number("vm-clock-sec"),
    clockNanoseconds: number("vm-clock-nsec"),
    ...(info["icount"] !== undefined && { instructions: number("icount") }),
  };
}
