/**
 * New extents: flat ones, and sparse ones of plain grains; and the headers of all new sparse ones.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import type { WritableStorage } from "../storage/types.ts";
import { encodeHeader, FLAG, type SparseHeader, tablesOf } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";
import type { Settings } from "./options.ts";
import { tablesFor } from "./grain_tables.ts";
import { type ExtentWriter, grainWriter } from "./grain_writer.ts";
import { flatWriter } from "./writer.ts";

/** Grains of new extents, as VMware makes them. */
export const GRAIN_BYTES = 64 << 10;
const ENTRIES_PER_TABLE = 512;
/** Room for the descriptor, so that it can change in place. */
export const DESCRIPTOR_BYTES = 20 * SECTOR;
/** An extent of a split disk: as VMware makes it, one MiB less than 2 GiB, so that its file stays backing that. */
export const SPLIT_BYTES = 2047 << 20;

/** What of the options matters for an extent. */
type ExtentSettings = Pick<Settings, "zeroedGrains">;

/** A new flat extent in an empty file. */
export async function newFlat(storage: WritableStorage, size: number): Promise<ExtentWriter> {
  await storage.truncate(size);
  return flatWriter(storage, 0);
}

/** A new extent of plain grains: header, descriptor, both directories with all their tables, then grains. */
export async function sparseExtent(
  storage: WritableStorage,
  settings: ExtentSettings,
  size: number,
  descriptor: Uint8Array | null,
  backing: GuestReader | null,
): Promise<ExtentWriter> {
  const header = headerOf(settings, size, {
    version: settings.zeroedGrains ? 2 : 1,
    flags: FLAG.newline | FLAG.redundant,
    descriptorBytes: descriptor && Math.max(DESCRIPTOR_BYTES, alignUp(descriptor.length, SECTOR)),
  });
  if (!storage.startsZeroed) await storage.zeroAt(0, header.overhead);
  const end = { next: header.overhead };
  const tables = tablesFor({
    storage,
    header,
    directory: newDirectory(header, header.directory!),
    redundant: newDirectory(header, header.redundantDirectory),
    fresh: true,
    place: () => Promise.reject(new Error("All tables of a new extent have their places")),
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

/** The header of a new extent; a stream tells in its footer where its directory lies. */
export function headerOf(
  settings: ExtentSettings,
  capacity: number,
  kind: { readonly version: number; readonly flags: number; readonly descriptorBytes: number | null },
): SparseHeader {
  const { version, descriptorBytes } = kind;
  const compressed = (kind.flags & FLAG.compressed) !== 0;
  const shape = { capacity, grainBytes: GRAIN_BYTES, entriesPerTable: ENTRIES_PER_TABLE };
  const redundantDirectory = SECTOR + (descriptorBytes ?? 0);
  const header: SparseHeader = {
    version,
    flags: kind.flags | (settings.zeroedGrains ? FLAG.zeroed : 0),
    ...shape,
    descriptor: descriptorBytes === null ? null : { fileOffset: SECTOR, length: descriptorBytes },
    redundantDirectory: compressed ? 0 : redundantDirectory,
    directory: null,
    overhead: alignUp(redundantDirectory, GRAIN_BYTES),
    unclean: false,
    compressed,
  };
  if (compressed) return header;
  const copy = directoryBytes(header) + tablesOf(header) * tableBytesOf(header);
  return {
    ...header,
    directory: redundantDirectory + copy,
    overhead: alignUp(redundantDirectory + 2 * copy, GRAIN_BYTES),
  };
}

/** Bytes that a grain directory takes in the file. */
export function directoryBytes(header: SparseHeader): number {
  return alignUp(tablesOf(header) * 4, SECTOR);
}

/** A grain directory at `fileOffset` whose tables follow it. */
function newDirectory(header: SparseHeader, fileOffset: number): Uint8Array {
  const count = tablesOf(header);
  const first = (fileOffset + directoryBytes(header)) / SECTOR;
  const step = tableBytesOf(header) / SECTOR;
  const bytes = new Uint8Array(count * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) view.setUint32(index * 4, first + index * step, true);
  return bytes;
}
