/**
 * Opens a hosted sparse extent file: reads its header, the footer if that states the directory, and its grain
 * directory.
 *
 * @module
 */
import { alignDown, SECTOR, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { BAD, type GrainMap, HOLE, MAX_DIRECTORY_ENTRIES, ZERO } from "./grain_directory.ts";
import { FLAG, HEADER_BYTES, MARKER, parseHeader, SPARSE_MAGIC, type SparseHeader, tableCount } from "./header.ts";
import { type GrainTableCache, grainTableCache, tableReader } from "./grain_table_reader.ts";

/** An open hosted sparse extent file. */
export interface HostedSparse {
  /** The header, with the file offset of the directory from the footer if there is one. */
  readonly header: SparseHeader;
  /** Whether a footer states the file offset of the grain directory. */
  readonly hasFooter: boolean;
  /** File offset after the end-of-stream marker behind the footer; the end of the file where there is no footer. */
  readonly streamEnd: number;
  readonly map: GrainMap;
  /** The grain directory. */
  readonly directory: DataView;
}

/** Returns whether `storage` begins with the magic of hosted sparse extents. */
export async function isHostedSparse(storage: Storage): Promise<boolean> {
  if (storage.size < 4) return false;
  const magic = new Uint8Array(4);
  await storage.readAt(magic, 0);
  return viewOf(magic).getUint32(0, true) === SPARSE_MAGIC;
}

/** Opens a hosted sparse extent file; the caller has checked its magic. */
export async function openHostedSparse(
  storage: Storage,
  tableCache: GrainTableCache = grainTableCache(),
): Promise<HostedSparse> {
  const first = await readHeader(storage, 0);
  const hasFooter = first.directory === null;
  const { header, streamEnd } = hasFooter
    ? await readFooter(storage, first)
    : { header: first, streamEnd: storage.size };
  const directory = viewOf(await readDirectory(storage, header));
  return { header, hasFooter, streamEnd, directory, map: mapOf(header, directory, storage, tableCache) };
}

/** Returns the header of a stream whose footer is missing, because the file is cut off; `null` for other files. */
export async function headerOfTruncatedStream(storage: Storage): Promise<SparseHeader | null> {
  const header = await readHeader(storage, 0);
  const isStream = header.directory === null && header.compressed && (header.flags & FLAG.markers) !== 0;
  return isStream && await findFooter(storage) === null ? header : null;
}

/** Returns the size of a grain table in bytes. */
export function tableBytesOf({ entriesPerTable }: SparseHeader): number {
  return entriesPerTable * 4;
}

function mapOf(header: SparseHeader, directory: DataView, storage: Storage, tableCache: GrainTableCache): GrainMap {
  const zeroed = (header.flags & FLAG.zeroed) !== 0;
  const tableBytes = tableBytesOf(header);
  // Entries are sectors.
  const offsetOf = (sector: number, length: number) => {
    if (sector === 0) return HOLE;
    if (sector === 1 && zeroed) return ZERO;
    return sector * SECTOR + length > storage.size ? BAD : sector * SECTOR;
  };
  const tableAt = (index: number) => offsetOf(directory.getUint32(index * 4, true), tableBytes);
  return {
    storage,
    label: storage.label,
    size: header.capacity,
    grainBytes: header.grainBytes,
    tableCoverage: header.grainBytes * header.entriesPerTable,
    compressed: header.compressed,
    tableAt,
    // A grain past the end of a truncated file is data that is missing. Of a compressed one, the first byte must exist.
    grainAt: (table, index) => offsetOf(table.getUint32(index * 4, true), header.compressed ? 1 : -Infinity),
    tables: tableReader(storage, { tableBytes, count: tableCount(header), offsetOf: tableAt }, tableCache),
  };
}

async function readHeader(storage: Storage, fileOffset: number): Promise<SparseHeader> {
  if (storage.size < fileOffset + HEADER_BYTES) {
    throw corrupt(`Cannot open "${storage.label}": it ends inside its header`, storage.label);
  }
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, fileOffset);
  return parseHeader(bytes, storage.label);
}

/**
 * Reads the footer: a second header in the sector before the end-of-stream marker, which is the last one. Programs that
 * store files in whole blocks leave bytes behind it.
 */
async function readFooter(
  storage: Storage,
  first: SparseHeader,
): Promise<Pick<HostedSparse, "header" | "streamEnd">> {
  const { label, size } = storage;
  const lacks = (what: string) => {
    const message = `Cannot open "${label}": its footer states its grain directory, and ${what}; ` +
      `the file is incomplete`;
    return corrupt(message, label, Math.max(0, size - 2 * SECTOR));
  };
  const fileOffset = await findFooter(storage);
  if (fileOffset === null) throw lacks("there is none");
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, fileOffset);
  const footer = parseHeader(bytes, label);
  if (footer.directory === null) throw lacks("that does not state it either");
  for (const field of ["capacity", "grainBytes", "entriesPerTable", "compressed"] as const) {
    if (footer[field] !== first[field]) throw lacks(`its ${field} is not that of the header`);
  }
  const header = { ...first, directory: footer.directory, flags: footer.flags };
  return { header, streamEnd: fileOffset + 2 * SECTOR };
}

/** Bytes at the end of a file in which the footer is looked for. */
const MAX_AFTER_STREAM = 64 << 20;

/** Bytes that one request of this search reads, in whole sectors. */
const SEARCH_BYTES = 1 << 20;

/**
 * Returns the file offset of the last footer; null if there is none. At the end of the file its magic suffices; elsewhere
 * the marker before it must state a footer, and the sector after it must be an end-of-stream marker.
 */
async function findFooter(storage: Storage): Promise<number | null> {
  const end = alignDown(storage.size, SECTOR);
  if (end < 4 * SECTOR) return null;
  const last = new Uint8Array(4);
  await storage.readAt(last, end - 2 * SECTOR);
  if (end === storage.size && viewOf(last).getUint32(0, true) === SPARSE_MAGIC) return end - 2 * SECTOR;
  const least = Math.max(SECTOR, end - MAX_AFTER_STREAM);
  // Two sectors of each request are those of the one before, because three sectors are compared.
  for (
    let searched = end;
    searched - 3 * SECTOR >= least;
    searched = Math.max(searched - SEARCH_BYTES, least) + 2 * SECTOR
  ) {
    const start = Math.max(least, searched - SEARCH_BYTES);
    const bytes = new Uint8Array(searched - start);
    await storage.readAt(bytes, start);
    for (let at = bytes.length - 3 * SECTOR; at >= 0; at -= SECTOR) {
      if (isFooter(viewOf(bytes.subarray(at, at + 3 * SECTOR)))) return start + at + SECTOR;
    }
    if (start === least) break;
  }
  return null;
}

/** Returns whether three sectors are the marker of a footer, a footer, and an end-of-stream marker. */
function isFooter(view: DataView): boolean {
  const isMarker = (at: number, sectors: number, type: number) =>
    view.getUint32(at, true) === sectors && view.getUint32(at + 8, true) === 0 &&
    view.getUint32(at + 12, true) === type;
  return view.getUint32(SECTOR, true) === SPARSE_MAGIC && isMarker(0, 1, MARKER.footer) &&
    isMarker(2 * SECTOR, 0, MARKER.endOfStream);
}

async function readDirectory(storage: Storage, header: SparseHeader): Promise<Uint8Array> {
  const { label, size } = storage;
  const entries = tableCount(header);
  if (entries > MAX_DIRECTORY_ENTRIES) {
    const message =
      `Cannot open "${label}": its grain directory has ${entries} entries for ${header.capacity} bytes, ` +
      `must be at most ${MAX_DIRECTORY_ENTRIES}`;
    throw new ImageError("unsupported", message, { path: label, offset: 12 });
  }
  const fileOffset = header.directory ?? 0;
  if (entries > 0 && fileOffset < SECTOR) {
    throw corrupt(`Cannot open "${label}": its grain directory lies at its header`, label, 56);
  }
  const end = fileOffset + entries * 4;
  if (end > size) {
    const message =
      `Cannot open "${label}": its grain directory ends at byte ${end}, past the end of the file (${size})`;
    throw corrupt(message, label, 56);
  }
  const bytes = new Uint8Array(entries * 4);
  if (bytes.length > 0) await storage.readAt(bytes, fileOffset);
  return bytes;
}

/** Reads the redundant grain directory; null if there is none or its offset is invalid, since no reader needs it. */
export async function readRedundant(storage: Storage, header: SparseHeader): Promise<Uint8Array | null> {
  const fileOffset = header.redundantDirectory;
  const length = tableCount(header) * 4;
  if (fileOffset < SECTOR || fileOffset === header.directory || fileOffset + length > storage.size) return null;
  const bytes = new Uint8Array(length);
  if (length > 0) await storage.readAt(bytes, fileOffset);
  return bytes;
}
