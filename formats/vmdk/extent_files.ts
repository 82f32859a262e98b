/**
 * What a VMDK consists of: its descriptor, and the files of its extents in the order of the guest disk.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type Descriptor, type ExtentLine, MAX_DESCRIPTOR, parseDescriptor } from "./descriptor.ts";
import { HEADER_BYTES, parseHeader, type SparseHeader } from "./header.ts";
import { COWD_MAGIC, isSeSparse, SPARSE_MAGIC } from "./signatures.ts";

/** One extent with its file. `S`: read-only or writable storage. */
export interface Part<S extends Storage> {
  /** First guest byte of the disk that it holds. */
  readonly guestStart: number;
  /** Guest bytes. */
  readonly size: number;
  readonly kind: "flat" | "sparse" | "zero";
  /** Where a flat extent begins in its file, in bytes. */
  readonly fileOffset: number;
  /** What the descriptor says; null where the image has none. */
  readonly line: ExtentLine | null;
  /** Null for zeroes. */
  readonly storage: S | null;
}

/** A whole image. */
export interface Layout<S extends Storage> {
  readonly descriptor: Descriptor | null;
  /** Where the descriptor lies in the image file, and how long it may become there; null where it is a file itself. */
  readonly embedded: { readonly fileOffset: number; readonly length: number } | null;
  readonly parts: readonly Part<S>[];
  /** Guest bytes. */
  readonly size: number;
}

/**
 * Reads the beginning of an image and opens the files that its descriptor names, each once.
 *
 * @throws ImageError `corrupt`, `unsupported`, and what `openNamed` throws
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
    return { descriptor: null, embedded: null, parts: [ownPart(storage, size, null)], size };
  }
  if (isSeSparse(head)) throw onlyExtent(storage.label);
  const descriptor = parseDescriptor(await readText(storage), storage.label);
  return { descriptor, embedded: null, ...await openParts(descriptor.extents, null, storage, openNamed) };
}

/** The descriptor of an image, its place, and the header before it, without a look at the extents; `null` where it has none. */
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

/** The extent in the image file itself. */
function ownPart<S extends Storage>(storage: S, size: number, line: ExtentLine | null): Part<S> {
  return { guestStart: 0, size, kind: "sparse", fileOffset: 0, line, storage };
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
  const place = header.descriptor;
  const alone = { parts: [ownPart(storage, header.capacity, null)], size: header.capacity };
  if (place === null) return { descriptor: null, embedded: null, ...alone };
  const descriptor = parseDescriptor(await readEmbedded(storage, header), storage.label);
  const { extents } = descriptor;
  // The file may have been renamed: its only extent is itself, whatever the descriptor calls it.
  if (extents.length <= 1) {
    const parts = [ownPart(storage, header.capacity, extents[0] ?? null)];
    return { descriptor, embedded: place, parts, size: header.capacity };
  }
  const own = ownExtent(extents, storage.label);
  return { descriptor, embedded: place, ...await openParts(extents, own, storage, openNamed) };
}

/** Which of several extents lies in the image file: the one of its name, else the first that is sparse. */
function ownExtent(extents: readonly ExtentLine[], label: string): ExtentLine | null {
  const sparse = extents.filter((extent) => extent.type === "SPARSE");
  return sparse.find((extent) => baseName(extent.name) === baseName(label)) ?? sparse[0] ?? null;
}

function baseName(path: string): string {
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

async function openParts<S extends Storage>(
  extents: readonly ExtentLine[],
  own: ExtentLine | null,
  storage: S,
  openNamed: (file: NamedFile) => Promise<S>,
): Promise<{ readonly parts: Part<S>[]; readonly size: number }> {
  const kinds = extents.map((line) => kindOf(line, storage.label));
  const files = new Map<string, S>();
  const parts: Part<S>[] = [];
  let guestStart = 0;
  for (const [index, line] of extents.entries()) {
    const kind = kinds[index];
    let file: S | null = line === own ? storage : files.get(line.name) ?? null;
    if (kind !== "zero" && file === null) {
      file = await openNamed({ name: line.name, ...(kind === "flat" && { format: "raw" }) });
      files.set(line.name, file);
    }
    if (kind === "zero") file = null;
    const part = { guestStart, size: line.size, kind, fileOffset: line.fileOffset, line, storage: file };
    checkPart(part, storage.label);
    parts.push(part);
    guestStart += line.size;
  }
  return { parts, size: guestStart };
}

function kindOf(line: ExtentLine, label: string): Part<Storage>["kind"] {
  const kind = KINDS[line.type];
  if (kind === undefined) {
    const known = Object.keys(KINDS).join(", ");
    const message =
      `Cannot open "${label}": it has an extent of type ${line.type.slice(0, 40)}, which must be one of ` +
      known;
    throw new ImageError("unsupported", message, { path: label });
  }
  if (kind === "zero" || line.name !== "") return kind;
  throw corrupt(`Cannot open "${label}": its extent of type ${line.type} names no file`, label);
}

const KINDS: { readonly [type: string]: Part<Storage>["kind"] | undefined } = {
  FLAT: "flat",
  VMFS: "flat",
  SPARSE: "sparse",
  VMFSSPARSE: "sparse",
  SESPARSE: "sparse",
  ZERO: "zero",
};

/** A flat extent must lie in its file as a whole. */
function checkPart({ kind, fileOffset, size, storage }: Part<Storage>, label: string): void {
  if (kind !== "flat" || storage === null || fileOffset + size <= storage.size) return;
  const message =
    `Cannot open "${label}": its extent in "${storage.label}" ends at byte ${fileOffset + size}, past the ` +
    `end of that file (${storage.size})`;
  throw corrupt(message, storage.label);
}
