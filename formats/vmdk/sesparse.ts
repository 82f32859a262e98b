/**
 * Space-efficient sparse extents (`seSparse`), the snapshots of ESXi from 6.5 on. VMware has published no
 * specification; the fields are those that readers of the format agree on: a constant header, a volatile header, and
 * 64-bit entries whose upper four bits are their type.
 *
 * @module
 */
import { SECTOR, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { BAD, type GrainMap, HOLE, MAX_DIRECTORY_ENTRIES, ZERO } from "./grain_directory.ts";
import { SESPARSE_MAGIC } from "./header.ts";
import { type GrainTableCache, tableReader } from "./grain_table_reader.ts";

/** The magic of the volatile header, in the layout of {@linkcode SESPARSE_MAGIC}. */
const VOLATILE_MAGIC = 0xcafecafe;

const GRAIN_SECTORS = 8;
const TABLE_SECTORS = 64;
const TABLE_BYTES = TABLE_SECTORS * SECTOR;
const GRAIN_BYTES = GRAIN_SECTORS * SECTOR;
const TABLE_COVERAGE = TABLE_BYTES / 8 * GRAIN_BYTES;
const MAX_SECTORS = 2 ** 44;

/** File offsets and lengths of the structures, in bytes. */
interface Layout {
  /** Guest bytes. */
  readonly size: number;
  readonly directory: number;
  readonly directoryBytes: number;
  readonly tables: number;
  readonly tablesBytes: number;
  readonly grains: number;
}

/** Opens an seSparse extent file. */
export async function openSeSparse(storage: Storage, tableCache: GrainTableCache): Promise<GrainMap> {
  const { label } = storage;
  const layout = await readLayout(storage);
  const entries = Math.ceil(layout.size / TABLE_COVERAGE);
  if (entries > MAX_DIRECTORY_ENTRIES || entries * 8 > layout.directoryBytes) {
    const most = Math.min(layout.directoryBytes / 8, MAX_DIRECTORY_ENTRIES);
    const message =
      `Cannot open "${label}": its size needs ${entries} entries of the grain directory, which has ${most}`;
    throw corrupt(message, label, 136);
  }
  const end = layout.directory + entries * 8;
  if (end > storage.size) {
    const message = `Cannot open "${label}": its grain directory ends at byte ${end}, past the end of the file ` +
      `(${storage.size})`;
    throw corrupt(message, label, 128);
  }
  const directory = new Uint8Array(entries * 8);
  if (entries > 0) await storage.readAt(directory, layout.directory);
  return mapOf(storage, layout, viewOf(directory), tableCache);
}

function mapOf(storage: Storage, layout: Layout, directory: DataView, tableCache: GrainTableCache): GrainMap {
  const tableAt = (index: number) => {
    const [low, high] = [directory.getUint32(index * 8, true), directory.getUint32(index * 8 + 4, true)];
    if (high === 0 && low === 0) return HOLE;
    // The lower 32 bits are the index of the table within the table area.
    const inTables = low * TABLE_BYTES;
    if (high !== 0x10000000 || inTables + TABLE_BYTES > layout.tablesBytes) return BAD;
    const fileOffset = layout.tables + inTables;
    return fileOffset + TABLE_BYTES > storage.size ? BAD : fileOffset;
  };
  const tables = { tableBytes: TABLE_BYTES, count: directory.byteLength / 8, offsetOf: tableAt };
  return {
    storage,
    label: storage.label,
    size: layout.size,
    grainBytes: GRAIN_BYTES,
    tableCoverage: TABLE_COVERAGE,
    compressed: false,
    tableAt,
    grainAt(table, index) {
      const [low, high] = [table.getUint32(index * 8, true), table.getUint32(index * 8 + 4, true)];
      switch (high >>> 28) {
        case 0:
          return high === 0 && low === 0 ? HOLE : BAD;
        case 1: // unmapped by the guest
        case 2:
          return ZERO;
        case 3: {
          // Bits 48 to 59 of the entry are the lowest 12 bits of the grain's index.
          const grainIndex = (high >>> 16 & 0xfff) + (high & 0xffff) * 2 ** 44 + low * 2 ** 12;
          const fileOffset = layout.grains + grainIndex * GRAIN_BYTES;
          // A grain past the end of a truncated file is data that is missing.
          return Number.isSafeInteger(fileOffset) ? fileOffset : BAD;
        }
        default:
          return BAD;
      }
    },
    tables: tableReader(storage, tables, tableCache),
  };
}

async function readLayout(storage: Storage): Promise<Layout> {
  const { label } = storage;
  const view = viewOf(await sectorAt(storage, 0));
  const sectors = (at: number) => sectorField(view, at, label);
  if (view.getUint32(0, true) !== SESPARSE_MAGIC || view.getUint32(4, true) !== 0) {
    throw corrupt(`Cannot open "${label}" as an seSparse extent: it does not begin with its magic`, label);
  }
  const [minor, major] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (major !== 2 || minor !== 1) {
    const message = `Cannot open "${label}": its seSparse version is ${major}.${minor}, must be 2.1`;
    throw new ImageError("unsupported", message, { path: label, offset: 8 });
  }
  const [grain, table] = [sectors(24), sectors(32)];
  if (grain !== GRAIN_BYTES || table !== TABLE_BYTES) {
    const message = `Cannot open "${label}": its grains have ${grain} bytes and its grain tables ${table}, ` +
      `must be ${GRAIN_BYTES} and ${TABLE_BYTES}`;
    throw new ImageError("unsupported", message, { path: label, offset: 24 });
  }
  await checkJournal(storage, sectors(80));
  return {
    size: sectors(16),
    directory: sectors(128),
    directoryBytes: sectors(136),
    tables: sectors(144),
    tablesBytes: sectors(152),
    grains: sectors(192),
  };
}

/** Throws if the journal has entries that are not in the tables yet: the tables are out of date. */
async function checkJournal(storage: Storage, volatileOffset: number): Promise<void> {
  const { label } = storage;
  const view = viewOf(await sectorAt(storage, volatileOffset));
  if (view.getUint32(0, true) !== VOLATILE_MAGIC || view.getUint32(4, true) !== 0) {
    throw corrupt(`Cannot open "${label}": its volatile header does not begin with its magic`, label, volatileOffset);
  }
  if (view.getUint32(24, true) === 0 && view.getUint32(28, true) === 0) return;
  const message = `Cannot open "${label}": its journal has not been replayed; start and stop its machine on ESXi first`;
  throw new ImageError("unsupported", message, { path: label, offset: volatileOffset + 24 });
}

async function sectorAt(storage: Storage, fileOffset: number): Promise<Uint8Array> {
  if (fileOffset + SECTOR > storage.size) {
    const message = `Cannot open "${storage.label}": it ends before its header at ${fileOffset}`;
    throw corrupt(message, storage.label, fileOffset);
  }
  const bytes = new Uint8Array(SECTOR);
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

function sectorField(view: DataView, at: number, label: string): number {
  const sectors = view.getUint32(at + 4, true) > 0x1fffff ? Infinity : u64(view, at, true);
  if (sectors < MAX_SECTORS) return sectors * SECTOR;
  throw corrupt(`Cannot open "${label}": the field at byte ${at} of its header is 2^44 sectors or more`, label, at);
}
