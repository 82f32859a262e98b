/**
 * What an image says of itself. Files that it names are looked for, but not opened, unless the chain is asked for.
 *
 * @module
 */
import {
  dirname,
  type FormatInfo,
  ImageError,
  type InfoValue,
  isAbsolute,
  join,
  type NamedFile,
  resolve,
  type Storage,
} from "../formats/mod.ts";
import type { ImageSpec } from "./job.ts";
import { isProtocol, resolveNamed } from "./open/named_files.ts";
import { type Layer, openImage, type OpenOptions } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";

/** A file that an image names, and what would become of opening it. */
export interface NamedFileInfo {
  /** What it is to the image. */
  readonly role: "backing file" | "data file";
  /** As it stands in the image; empty where only its ID is told. */
  readonly name: string;
  /** Its format, where the image states it. */
  readonly format?: string;
  /** Where it was found. */
  readonly path?: string;
  /**
   * `found`: it may be opened; `refused`: it lies outside the folder of the image, or is no path; `unknown`: Deno was
   * not allowed to look.
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
  /** When it was taken: seconds since 1970, and nanoseconds of that second. */
  readonly dateSeconds: number;
  /** Nanoseconds beyond that second. */
  readonly dateNanoseconds: number;
  /** How long the guest had run: seconds and nanoseconds. */
  readonly clockSeconds: number;
  /** Nanoseconds beyond that second. */
  readonly clockNanoseconds: number;
  /** Instructions run, where they are counted. */
  readonly instructions?: number;
}

/** What {@linkcode inspect} finds. Sizes in bytes. */
export interface ImageInfo {
  /** As given; deeper in a chain as named by the image above, seen from there. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Bytes that its file takes on the host; absent where the host does not tell. */
  readonly allocated?: number;
  /** Length of the file. */
  readonly fileSize?: number;
  /** Bytes of a cluster (block, grain); absent where the format has none. */
  readonly clusterSize?: number;
  /** Whether it was not closed in good order. */
  readonly dirty: boolean;
  /** The file beneath, as named; `path` is the name seen from where `path` of this image counts from. */
  readonly backing?: { readonly name: string; readonly format?: string; readonly path: string };
  /** Its internal snapshots, in the order of the image. */
  readonly snapshots: readonly SnapshotInfo[];
  /** What only its format has. */
  readonly specific: FormatInfo;
  /** All files that it names. */
  readonly names: readonly NamedFileInfo[];
}

/** FormatInfo that have a place of their own in {@linkcode ImageInfo}. */
const GENERAL = ["cluster-size", "dirty-flag", "snapshots"];

/** What {@linkcode inspect} of `mod.ts` does. */
export async function inspect(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo> {
  const spec = typeof image === "string" ? { path: image } : image;
  return (await inspectLayers({ ...spec, backing: null }, options))[0];
}

/** What {@linkcode inspectChain} of `mod.ts` does. */
export async function inspectChain(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo[]> {
  return await inspectLayers(typeof image === "string" ? { path: image } : image, options);
}

/** A file that was asked for while its image was opened. */
interface Asked {
  readonly file: NamedFile;
  readonly imagePath: string;
}

async function inspectLayers(spec: ImageSpec, options: OpenDiskOptions): Promise<ImageInfo[]> {
  const asked: Asked[] = [];
  const open = openOptions(options);
  const standIn = (file: NamedFile, imagePath: string) => {
    asked.push({ file, imagePath });
    return sealed(file);
  };
  try {
    await using image = await openImage(spec, { ...open, standIn });
    return await infosOf(spec, image.layers, asked, open);
  } catch (error) {
    // A format that must read what it names to know its own size.
    if (asked.length === 0 || !(error instanceof ImageError)) throw error;
  }
  await using image = await openImage(spec, open);
  return await infosOf(spec, image.layers, asked, open);
}

/** A file that stays closed. */
function sealed({ name }: NamedFile): Storage {
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
  asked: readonly Asked[],
  options: OpenOptions,
): Promise<ImageInfo[]> {
  const infos: ImageInfo[] = [];
  let path = spec.path;
  for (const layer of layers) {
    const named = asked.filter(({ imagePath }) => imagePath === layer.path).map(({ file }) => file);
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
  const { backing, info: facts } = disk;
  const shown = path === "" ? layer.path : path;
  const names = backing ? [await nameOf(backing, "backing file", layer.path, allowRefs)] : [];
  for (const file of named) names.push(await nameOf(file, "data file", layer.path, allowRefs));
  return {
    path: shown,
    format: disk.format,
    size: disk.size,
    ...await sizesOf(layer.path),
    ...(disk.clusterSize > 1 && { clusterSize: disk.clusterSize }),
    dirty: facts["dirty-flag"] === true,
    ...(backing && {
      backing: {
        name: backing.name,
        ...(backing.format !== undefined && { format: backing.format }),
        path: backing.name === "" ? "" : seenFrom(shown, backing.name),
      },
    }),
    snapshots: listOf(facts["snapshots"]).map(snapshotOf),
    specific: Object.fromEntries(Object.entries(facts).filter(([name]) => !GENERAL.includes(name))),
    names,
  };
}

/** A name in an image, seen from where the image's own name counts from. */
function seenFrom(imagePath: string, name: string): string {
  if (isAbsolute(name) || isProtocol(name)) return name;
  const folder = dirname(imagePath);
  return folder === "." && !imagePath.startsWith("./") ? name : join(folder, name);
}

async function sizesOf(path: string): Promise<{ allocated?: number; fileSize?: number }> {
  try {
    const { size, blocks } = await Deno.stat(path);
    return { fileSize: size, ...(blocks !== null && { allocated: blocks * 512 }) };
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
  if (name === "" && others.length === 0) return { ...about, state: "unknown", reason: "only its ID is told" };
  const path = resolve(dirname(imagePath), name);
  // Asked for, not tried: to look is not worth a question to the user.
  if (!isProtocol(name) && (await Deno.permissions.query({ name: "read", path })).state !== "granted") {
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

function listOf(fact: InfoValue | undefined): readonly InfoValue[] {
  return Array.isArray(fact) ? fact : [];
}

function snapshotOf(fact: InfoValue): SnapshotInfo {
  const facts = fact as FormatInfo;
  const number = (name: string) => Number(facts[name] ?? 0);
  return {
    id: String(facts["id"]),
    name: String(facts["name"]),
    vmStateSize: number("vm-state-size"),
    dateSeconds: number("date-sec"),
    dateNanoseconds: number("date-nsec"),
    clockSeconds: number("vm-clock-sec"),
    clockNanoseconds: number("vm-clock-nsec"),
    ...(facts["icount"] !== undefined && { instructions: number("icount") }),
  };
}
