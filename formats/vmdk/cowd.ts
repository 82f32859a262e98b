/**
 * ESX server sparse extents (`COWD`), the redo logs and snapshots of `vmfsSparse` disks, by VMware's "Virtual Disk
 * Format 5.0", "ESXi Host Sparse Extents".
 *
 * @module
 */
import { isPowerOfTwo, SECTOR, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { BAD, type GrainMap, HOLE, MAX_DIRECTORY_ENTRIES } from "./grain_directory.ts";
import { type GrainTableCache, tableReader } from "./grain_table_reader.ts";

const HEADER_BYTES = 2048;
/** Entries of every grain table, by the specification. */
const ENTRIES_PER_TABLE = 4096;
/** The largest grain that is read, in sectors: 1 MiB. VMware writes grains of 1 sector. */
const MAX_GRAIN_SECTORS = 2048;

/** Opens a COWD extent file; the caller has checked its magic. */
export async function openCowd(storage: Storage, tableCache: GrainTableCache): Promise<GrainMap> {
  const { label } = storage;
  if (storage.size < HEADER_BYTES) throw corrupt(`Cannot open "${label}": it ends inside its header`, label);
  const bytes = new Uint8Array(32);
  await storage.readAt(bytes, 0);
  const view = viewOf(bytes);
  const field = (index: number) => view.getUint32(index * 4, true);
  if (field(1) !== 1) {
    throw new ImageError("unsupported", `Cannot open "${label}": it has version ${field(1)}, must be 1`, {
      path: label,
      offset: 4,
    });
  }
  const [size, grainSectors, directoryOffset] = [field(3) * SECTOR, field(4), field(5) * SECTOR];
  if (!isPowerOfTwo(grainSectors) || grainSectors > MAX_GRAIN_SECTORS) {
    const message = `Cannot open "${label}": its grains have ${grainSectors} sectors, must be a power of two up to ` +
      `${MAX_GRAIN_SECTORS}`;
    throw corrupt(message, label, 16);
  }
  const tableCoverage = grainSectors * SECTOR * ENTRIES_PER_TABLE;
  const entries = Math.ceil(size / tableCoverage);
  checkDirectory(storage, entries, field(6), directoryOffset);
  const directory = new Uint8Array(entries * 4);
  if (entries > 0) await storage.readAt(directory, directoryOffset);
  return mapOf(storage, tableCache, viewOf(directory), { size, grainBytes: grainSectors * SECTOR, tableCoverage });
}

function mapOf(
  storage: Storage,
  tableCache: GrainTableCache,
  directory: DataView,
  shape: Pick<GrainMap, "size" | "grainBytes" | "tableCoverage">,
): GrainMap {
  const offsetOf = (sector: number, length: number) => {
    if (sector === 0) return HOLE;
    return sector * SECTOR + length > storage.size ? BAD : sector * SECTOR;
  };
  const tableAt = (index: number) => offsetOf(directory.getUint32(index * 4, true), ENTRIES_PER_TABLE * 4);
  const tables = { tableBytes: ENTRIES_PER_TABLE * 4, count: directory.byteLength / 4, offsetOf: tableAt };
  return {
    storage,
    label: storage.label,
    ...shape,
    compressed: false,
    tableAt,
    // A grain past the end of a truncated file is data that is missing.
    grainAt: (table, index) => offsetOf(table.getUint32(index * 4, true), -Infinity),
    tables: tableReader(storage, tables, tableCache),
  };
}

function checkDirectory(storage: Storage, needed: number, stated: number, fileOffset: number): void {
  const { label, size } = storage;
  if (needed > MAX_DIRECTORY_ENTRIES || needed > stated) {
    const most = Math.min(stated, MAX_DIRECTORY_ENTRIES);
    const message =
      `Cannot open "${label}": its size needs ${needed} entries of the grain directory, which has ${most}`;
    throw corrupt(message, label, 24);
  }
  const end = fileOffset + needed * 4;
  if (needed > 0 && (fileOffset < SECTOR || end > size)) {
    const message = `Cannot open "${label}": its grain directory lies from byte ${fileOffset} to ${end}, ` +
      `must be behind the header and inside the file (${size})`;
    throw corrupt(message, label, 20);
  }
}
