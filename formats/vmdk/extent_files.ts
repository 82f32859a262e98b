/**
 * Reads the layout of a VMDK: its descriptor, and its extent files in the order of the guest disk.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type Descriptor, type ExtentLine, MAX_DESCRIPTOR, parseDescriptor } from "./descriptor.ts";
import { COWD_MAGIC, HEADER_BYTES, isSeSparse, parseHeader, SPARSE_MAGIC, type SparseHeader } from "./header.ts";

/** One extent of the disk with its open file. `S`: read-only or writable storage. */
export interface ExtentFile<S extends Storage> {
  /** Guest byte of the disk at which the extent begins. */
  readonly guestStart: number;
  /** Guest bytes. */
  readonly size: number;
  readonly type: "flat" | "sparse" | "zero";
  /** File offset of the first guest byte of a flat extent, in bytes. */
  readonly fileOffset: number;
  /** The line of the descriptor; null if the image has no descriptor. */
  readonly line: ExtentLine | null;
  /** Null for type `zero`. */
  readonly storage: S | null;
}

/** The descriptor and the extent files of an image. */
export interface Layout<S extends Storage> {
  readonly descriptor: Descriptor | null;
  /** Location and capacity of the descriptor inside the image file, in bytes; null if it is a file of its own. */
  readonly embedded: { readonly fileOffset: number; readonly length: number } | null;
  readonly extentFiles: readonly ExtentFile<S>[];
  /** Guest bytes. */
  readonly size: number;
}

/**
 * Throws for changed block tracking: the file of the tracking must record every change, or backups miss it.
 *
 * @throws ImageError `unsupported`
 */
export function refuseTracked(descriptor: Descriptor | null, label: string): void {
  if (!descriptor?.values.get("changetrackpath")) return;
  const message = `Cannot change "${label}": its changes are tracked in another file; convert it into a new image`;
  throw new ImageError("unsupported", message, { path: label });
}

/**
 * Reads the header and the descriptor of an image, and opens the files that the descriptor names, each once.
 *
 * @throws ImageError `corrupt`, `unsupported`, and the errors of `openNamed`
 */
export async function readLayout<S extends Storage>(
  storage: S,
  openNamed: (file: NamedFile) => Promise<S>,
): Promise<Layout<S>> {
  const head = new Uint8Array(Math.min(HEADER_BYTES, storage.size));
  await storage.readAt(head, 0);
  const magic = head.length >= 4 ? viewOf(head).getUint32(0, true) : 0;
  if (magic === SPARSE_MAGIC && head.length === HEADER_BYTES) return await readSparse(storage, head, openNamed);
  if (magic === COWD_MAGIC && head.length >= 16) {
    const size = viewOf(head).getUint32(12, true) * 512;
    return { descriptor: null, embedded: null, extentFiles: [ownExtentFile(storage, size, null)], size };
  }
  if (isSeSparse(head)) throw onlyExtent(storage.label);
  const descriptor = parseDescriptor(await readText(storage), storage.label);
  return { descriptor, embedded: null, ...await openExtentFiles(descriptor.extents, null, storage, openNamed) };
}

/** Reads the descriptor, its location and the header before it, but opens no extent files; null if there is none. */
export async function readDescriptor<S extends Storage>(
  storage: S,
): Promise<
  | { readonly descriptor: Descriptor; readonly embedded: Layout<S>["embedded"]; readonly header: SparseHeader | null }
  | null
> {
  const head = new Uint8Array(Math.min(HEADER_BYTES, storage.size));
  await storage.readAt(head, 0);
  const magic = head.length >= 4 ? viewOf(head).getUint32(0, true) : 0;
  if (magic === COWD_MAGIC || isSeSparse(head)) return null;
  if (magic !== SPARSE_MAGIC || head.length < HEADER_BYTES) {
    return { descriptor: parseDescriptor(await readText(storage), storage.label), embedded: null, header: null };
  }
  const header = parseHeader(head, storage.label);
  if (header.descriptor === null) return null;
  const descriptor = parseDescriptor(await readEmbedded(storage, header), storage.label);
  return { descriptor, embedded: header.descriptor, header };
}

/** Returns the extent that is the image file itself. */
function ownExtentFile<S extends Storage>(storage: S, size: number, line: ExtentLine | null): ExtentFile<S> {
  return { guestStart: 0, size, type: "sparse", fileOffset: 0, line, storage };
}

function onlyExtent(label: string): ImageError {
  const message = `Cannot open "${label}": it is one extent of a snapshot, which does not name its parent; ` +
    `open the descriptor file that names it`;
  return new ImageError("unsupported", message, { path: label });
}

async function readSparse<S extends Storage>(
  storage: S,
  head: Uint8Array,
  openNamed: (file: NamedFile) => Promise<S>,
): Promise<Layout<S>> {
  const header = parseHeader(head, storage.label);
  const embedded = header.descriptor;
  const alone = { extentFiles: [ownExtentFile(storage, header.capacity, null)], size: header.capacity };
  if (embedded === null) return { descriptor: null, embedded: null, ...alone };
  const descriptor = parseDescriptor(await readEmbedded(storage, header), storage.label);
  const { extents } = descriptor;
  // The file may have been renamed: its only extent is the file itself, whatever name the descriptor states.
  if (extents.length <= 1) {
    const extentFiles = [ownExtentFile(storage, header.capacity, extents[0] ?? null)];
    return { descriptor, embedded, extentFiles, size: header.capacity };
  }
  const own = ownExtent(extents, storage.label);
  return { descriptor, embedded, ...await openExtentFiles(extents, own, storage, openNamed) };
}

/** Returns which of several extents is the image file: the sparse one with its name, else the first sparse one. */
function ownExtent(extents: readonly ExtentLine[], label: string): ExtentLine | null {
  const sparse = extents.filter((extent) => extent.type === "SPARSE");
  return sparse.find((extent) => baseName(extent.name) === baseName(label)) ?? sparse[0] ?? null;
}

/** Returns the last part of a path of any system. */
export function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
}

async function readEmbedded(storage: Storage, { descriptor }: SparseHeader): Promise<Uint8Array> {
  const { fileOffset, length } = descriptor!;
  const { label, size } = storage;
  if (fileOffset + length > size) {
    const message = `Cannot open "${label}": its descriptor ends at byte ${fileOffset + length}, past the end of the ` +
      `file (${size})`;
    throw corrupt(message, label, 28);
  }
  if (length > MAX_DESCRIPTOR) throw tooLong(label, length);
  const bytes = new Uint8Array(length);
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

async function readText(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(storage.size, MAX_DESCRIPTOR));
  await storage.readAt(bytes, 0);
  if (storage.size > MAX_DESCRIPTOR && !bytes.includes(0)) throw tooLong(storage.label, storage.size);
  return bytes;
}

function tooLong(label: string, length: number): ImageError {
  const message = `Cannot open "${label}": its descriptor has ${length} bytes, must be at most ${MAX_DESCRIPTOR}`;
  return corrupt(message, label);
}

async function openExtentFiles<S extends Storage>(
  extents: readonly ExtentLine[],
  own: ExtentLine | null,
  storage: S,
  openNamed: (file: NamedFile) => Promise<S>,
): Promise<{ readonly extentFiles: ExtentFile<S>[]; readonly size: number }> {
  const types = extents.map((line) => typeOf(line, storage.label));
  const files = new Map<string, S>();
  const extentFiles: ExtentFile<S>[] = [];
  let guestStart = 0;
  for (const [index, line] of extents.entries()) {
    const type = types[index];
    let file: S | null = line === own ? storage : files.get(line.name) ?? null;
    if (type !== "zero" && file === null) {
      file = await openNamed({ name: line.name, ...(type === "flat" && { format: "raw" }) });
      files.set(line.name, file);
    }
    if (type === "zero") file = null;
    extentFiles.push({ guestStart, size: line.size, type, fileOffset: line.fileOffset, line, storage: file });
    guestStart += line.size;
  }
  return { extentFiles, size: guestStart };
}

function typeOf(line: ExtentLine, label: string): ExtentFile<Storage>["type"] {
  const type = TYPES[line.type];
  if (type === undefined) {
    const known = Object.keys(TYPES).join(", ");
    const message =
      `Cannot open "${label}": it has an extent of type ${line.type.slice(0, 40)}, which must be one of ` +
      known;
    throw new ImageError("unsupported", message, { path: label });
  }
  if (type === "zero" || line.name !== "") return type;
  throw corrupt(`Cannot open "${label}": its extent of type ${line.type} names no file`, label);
}

const TYPES: { readonly [type: string]: ExtentFile<Storage>["type"] | undefined } = {
  FLAT: "flat",
  VMFS: "flat",
  SPARSE: "sparse",
  VMFSSPARSE: "sparse",
  SESPARSE: "sparse",
  ZERO: "zero",
};

/**
 * Throws if a flat extent ends past the end of its file. Such an image is read as far as its files go, but not written.
 */
export function refuseTruncated({ extentFiles }: Layout<Storage>, label: string): void {
  for (const { type, fileOffset, size, storage } of extentFiles) {
    if (type !== "flat" || storage === null || fileOffset + size <= storage.size) continue;
    const message = `Cannot write into "${label}": its extent in "${storage.label}" ends at byte ` +
      `${fileOffset + size}, past the end of that file (${storage.size})`;
    throw corrupt(message, storage.label);
  }
}
