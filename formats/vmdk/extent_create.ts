/**
 * Creates extent files: flat ones, sparse ones with uncompressed grains, and the headers of all sparse ones.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import type { WritableStorage } from "../storage/types.ts";
import { encodeHeader, FLAG, type SparseHeader, tableCount } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";
import type { Settings } from "./options.ts";
import { grainTables } from "./grain_tables.ts";
import { type ExtentFileWriter, grainWriter } from "./grain_writer.ts";
import { flatWriter } from "./writer.ts";

/** Grain size of new extent files: VMware's default. */
export const GRAIN_BYTES = 64 << 10;
const ENTRIES_PER_TABLE = 512;
/** Bytes that a new sparse extent file has for its descriptor, so that it can grow in place. */
export const DESCRIPTOR_BYTES = 20 * SECTOR;
/** Guest bytes of an extent of a split disk, as VMware makes it: the file, with its tables, stays below 2 GiB. */
export const SPLIT_BYTES = 2047 << 20;

/** The options that apply to an extent file. */
type ExtentSettings = Pick<Settings, "zeroedGrains">;

/** Creates a flat extent in an empty file. */
export async function createFlat(storage: WritableStorage, size: number): Promise<ExtentFileWriter> {
  await storage.truncate(size);
  return flatWriter(storage, 0);
}

/** Creates an extent of uncompressed grains: header, descriptor, both directories with all tables, then grains. */
export async function createSparse(
  storage: WritableStorage,
  settings: ExtentSettings,
  size: number,
  descriptor: Uint8Array | null,
  backing: GuestReader | null,
): Promise<ExtentFileWriter> {
  const header = newHeader(settings, size, {
    version: settings.zeroedGrains ? 2 : 1,
    flags: FLAG.newline | FLAG.redundant,
    descriptorBytes: descriptor && Math.max(DESCRIPTOR_BYTES, alignUp(descriptor.length, SECTOR)),
  });
  if (!storage.startsZeroed) await storage.zeroAt(0, header.overhead);
  const end = { next: header.overhead };
  const tables = grainTables({
    storage,
    header,
    directory: newDirectory(header, header.directory!),
    redundant: newDirectory(header, header.redundantDirectory),
    isNew: true,
    allocate: () => Promise.reject(new Error("All tables of a new extent are allocated")),
  });
  const zeroedFrom = storage.startsZeroed ? 0 : Infinity;
  return {
    ...grainWriter({ storage, header, tables, end, zeroedFrom, backing }),
    async finish() {
      await tables.flush();
      await tables.flushDirectories();
      if (descriptor) await storage.writeAt(descriptor, header.descriptor!.fileOffset);
      if (storage.size < end.next) await storage.truncate(end.next);
      await storage.writeAt(encodeHeader(header), 0);
    },
  };
}

/** Returns the header of a new extent. With `FLAG.compressed` it leaves the directory's location to the footer. */
export function newHeader(
  settings: ExtentSettings,
  capacity: number,
  fields: { readonly version: number; readonly flags: number; readonly descriptorBytes: number | null },
): SparseHeader {
  const { version, descriptorBytes } = fields;
  const compressed = (fields.flags & FLAG.compressed) !== 0;
  const shape = { capacity, grainBytes: GRAIN_BYTES, entriesPerTable: ENTRIES_PER_TABLE };
  const redundantDirectory = SECTOR + (descriptorBytes ?? 0);
  const header: SparseHeader = {
    version,
    flags: fields.flags | (settings.zeroedGrains ? FLAG.zeroed : 0),
    ...shape,
    descriptor: descriptorBytes === null ? null : { fileOffset: SECTOR, length: descriptorBytes },
    redundantDirectory: compressed ? 0 : redundantDirectory,
    directory: null,
    overhead: alignUp(redundantDirectory, GRAIN_BYTES),
    unclean: false,
    compressed,
  };
  if (compressed) return header;
  const copy = directoryBytes(header) + tableCount(header) * tableBytesOf(header);
  return {
    ...header,
    directory: redundantDirectory + copy,
    overhead: alignUp(redundantDirectory + 2 * copy, GRAIN_BYTES),
  };
}

/** Returns the size of a grain directory in the file, in bytes: whole sectors. */
export function directoryBytes(header: SparseHeader): number {
  return alignUp(tableCount(header) * 4, SECTOR);
}

/** Returns a grain directory for `fileOffset` whose tables follow it directly. */
function newDirectory(header: SparseHeader, fileOffset: number): Uint8Array {
  const count = tableCount(header);
  const first = (fileOffset + directoryBytes(header)) / SECTOR;
  const step = tableBytesOf(header) / SECTOR;
  const bytes = new Uint8Array(count * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) view.setUint32(index * 4, first + index * step, true);
  return bytes;
}
