/**
 * Opening a hosted sparse extent: its header, or the footer that speaks for it, and its grain directory.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { BAD, type GrainMap, HOLE, MAX_DIRECTORY_ENTRIES, ZERO } from "./grain_directory.ts";
import { FLAG, HEADER_BYTES, parseHeader, type SparseHeader, tablesOf } from "./header.ts";
import { SPARSE_MAGIC } from "./signatures.ts";
import { type TableMemory, tableMemory, tableReader } from "./grain_table_reader.ts";

/** A hosted sparse extent, open. */
export interface HostedSparse {
  /** The header, with the directory's place from the footer where that tells it. */
  readonly header: SparseHeader;
  /** Whether the footer tells where the grain directory lies. */
  readonly hasFooter: boolean;
  readonly map: GrainMap;
  /** The grain directory. */
  readonly directory: DataView;
}

/** Opens the extent in `storage`, which begins with the magic. */
export async function openHostedSparse(
  storage: Storage,
  memory: TableMemory = tableMemory(),
): Promise<HostedSparse> {
  const first = await readHeader(storage, 0);
  const hasFooter = first.directory === null;
  const header = hasFooter ? await readFooter(storage, first) : first;
  const directory = viewOf(await readDirectory(storage, header));
  return { header, hasFooter, directory, map: mapOf(header, directory, storage, memory) };
}

/** Bytes of a grain table. */
export function tableBytesOf({ entriesPerTable }: SparseHeader): number {
  return entriesPerTable * 4;
}

function mapOf(header: SparseHeader, directory: DataView, storage: Storage, memory: TableMemory): GrainMap {
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
    tableReach: header.grainBytes * header.entriesPerTable,
    compressed: header.compressed,
    tableAt,
    // The last grain of a file may be cut short: only its first byte is sure.
    grainAt: (table, index) => offsetOf(table.getUint32(index * 4, true), 1),
    tables: tableReader(storage, { tableBytes, count: tablesOf(header), offsetOf: tableAt }, memory),
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

/** The footer: a second header in the last sector but one, before the end-of-stream marker. */
async function readFooter(storage: Storage, first: SparseHeader): Promise<SparseHeader> {
  const { label, size } = storage;
  const lacks = (what: string) => {
    const message = `Cannot open "${label}": its footer states its grain directory, and ${what}; ` +
      `the file is incomplete`;
    return corrupt(message, label, Math.max(0, size - 2 * SECTOR));
  };
  if (size < 4 * SECTOR || size % SECTOR !== 0) throw lacks("there is none");
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, size - 2 * SECTOR);
  if (viewOf(bytes).getUint32(0, true) !== SPARSE_MAGIC) throw lacks("there is none");
  const footer = parseHeader(bytes, label);
  if (footer.directory === null) throw lacks("that does not tell it either");
  for (const field of ["capacity", "grainBytes", "entriesPerTable", "compressed"] as const) {
    if (footer[field] !== first[field]) throw lacks(`its ${field} is not that of the header`);
  }
  return { ...first, directory: footer.directory, flags: footer.flags };
}

async function readDirectory(storage: Storage, header: SparseHeader): Promise<Uint8Array> {
  const { label, size } = storage;
  const entries = tablesOf(header);
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

/** The redundant grain directory; null where there is none that can be one: every reader leaves that alone. */
export async function readRedundant(storage: Storage, header: SparseHeader): Promise<Uint8Array | null> {
  const place = header.redundantDirectory;
  const length = tablesOf(header) * 4;
  if (place < SECTOR || place === header.directory || place + length > storage.size) return null;
  const bytes = new Uint8Array(length);
  if (length > 0) await storage.readAt(bytes, place);
  return bytes;
}
