/**
 * Changes the grain tables of an extent file, both copies of them.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import type { SparseHeader } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";

/** Bytes of tables of an existing extent file that are cached: enough for 256 GiB with grains of 64 KiB. */
const TABLE_CACHE_BYTES = 16 << 20;

/** Grain tables by their index in the grain directory, for changes. */
export interface GrainTables {
  /** The grain directory; entries are sectors. */
  readonly directory: DataView;
  /** Returns the table `index`; null if it is not allocated, so that all its grains are holes. */
  find(index: number): Promise<Uint8Array | null>;
  /** Returns the table `index`, allocated if needed. Change it and call {@linkcode changed} without `await` between. */
  forChange(index: number): Promise<Uint8Array>;
  changed(index: number): void;
  /** Writes all changed tables. */
  flush(): Promise<void>;
  /** Writes both grain directories at the file offsets of the header, if they have changed. */
  flushDirectories(): Promise<void>;
}

/** Parameters of {@linkcode grainTables}. */
export interface GrainTablesSetup {
  readonly storage: WritableStorage;
  readonly header: SparseHeader;
  readonly directory: Uint8Array;
  /** The redundant grain directory; null if there is none. */
  readonly redundant: Uint8Array | null;
  /** A new extent file: tables start empty, and nothing is read. */
  readonly isNew: boolean;
  /** Allocates `length` bytes for a new table; returns their file offset. */
  allocate(length: number): Promise<number>;
}

/** Creates the tables of one extent file. */
export function grainTables(setup: GrainTablesSetup): GrainTables {
  const { storage, header, isNew } = setup;
  const directory = viewOf(setup.directory);
  const redundant = setup.redundant && viewOf(setup.redundant);
  const tableBytes = tableBytesOf(header);
  const redundantOffsets = new Map<number, number>();
  const mirrored = redundant === null ? storage : mirror(storage, (fileOffset) => redundantOffsets.get(fileOffset));
  // A new extent file has its tables only in memory until the flush: none may be evicted.
  const cache = tableCache(mirrored, tableBytes, isNew ? Infinity : TABLE_CACHE_BYTES);
  let directoriesChanged = isNew;

  /** Returns the file offset of a table, 0 if it is not allocated, and records that of its redundant copy. */
  function offsetOf(index: number): number {
    const fileOffset = directory.getUint32(index * 4, true) * SECTOR;
    const redundantOffset = redundant === null ? 0 : redundant.getUint32(index * 4, true) * SECTOR;
    if (fileOffset !== 0 && redundantOffset !== 0 && redundantOffset !== fileOffset) {
      redundantOffsets.set(fileOffset, redundantOffset);
    }
    return fileOffset;
  }

  /** Reads a table of an existing extent file, whose directory may be corrupt. */
  async function load(index: number, fileOffset: number): Promise<Uint8Array> {
    const end = Math.max(fileOffset, redundantOffsets.get(fileOffset) ?? 0) + tableBytes;
    if (fileOffset >= 2 * SECTOR && end <= storage.size) return await cache.get(fileOffset);
    const message = `Cannot change grain table ${index} of "${storage.label}": it lies outside the file`;
    throw corrupt(message, storage.label);
  }

  async function allocateTable(index: number): Promise<Uint8Array> {
    let fileOffset = offsetOf(index);
    if (fileOffset === 0) {
      fileOffset = await setup.allocate(tableBytes);
      directory.setUint32(index * 4, fileOffset / SECTOR, true);
      if (redundant !== null) redundant.setUint32(index * 4, await setup.allocate(tableBytes) / SECTOR, true);
      directoriesChanged = true;
      offsetOf(index);
    }
    const table = new Uint8Array(tableBytes);
    await cache.put(fileOffset, table);
    return table;
  }

  async function find(index: number): Promise<Uint8Array | null> {
    const fileOffset = offsetOf(index);
    if (fileOffset !== 0 && cache.peek(fileOffset, () => true)) return await cache.get(fileOffset);
    return isNew || fileOffset === 0 ? null : await load(index, fileOffset);
  }

  return {
    directory,
    find,
    forChange: async (index) => await find(index) ?? await allocateTable(index),
    changed: (index) => cache.markDirty(directory.getUint32(index * 4, true) * SECTOR),
    flush: () => cache.flush(),
    async flushDirectories() {
      if (!directoriesChanged || setup.directory.length === 0) return;
      if (header.directory !== null) await storage.writeAt(setup.directory, header.directory);
      if (setup.redundant !== null) await storage.writeAt(setup.redundant, header.redundantDirectory);
      directoriesChanged = false;
    },
  };
}

/** The end of the allocated part of a file. */
export interface FileEnd {
  /** File offset. */
  next: number;
}

/** Allocates `length` bytes at the end of the file, at a multiple of `alignment` bytes; returns their file offset. */
export function allocateAtEnd(storage: WritableStorage, end: FileEnd, length: number, alignment: number): number {
  const fileOffset = alignUp(end.next, alignment);
  checkAddressable(storage, fileOffset + length);
  end.next = fileOffset + length;
  return fileOffset;
}

/** The first byte after the largest file that 32-bit sector numbers reach. */
export const MAX_FILE_BYTES = 2 ** 32 * SECTOR;

/** Throws if a file of `end` bytes is larger than its tables can address. */
export function checkAddressable(storage: WritableStorage, end: number): void {
  if (end <= MAX_FILE_BYTES) return;
  const message = `Cannot write more into "${storage.label}": its tables cannot point past 2 TiB of the file; ` +
    `subformat=twoGbMaxExtentSparse has no such limit`;
  throw new ImageError("unsupported", message, { path: storage.label });
}

/** Decorates `storage`: a write to a table goes to its redundant copy as well. */
function mirror(
  storage: WritableStorage,
  redundantOffsetOf: (fileOffset: number) => number | undefined,
): WritableStorage {
  return {
    get label() {
      return storage.label;
    },
    get size() {
      return storage.size;
    },
    startsZeroed: storage.startsZeroed,
    zeroesCheaply: storage.zeroesCheaply,
    readAt: (into, fileOffset) => storage.readAt(into, fileOffset),
    async writeAt(from, fileOffset) {
      await storage.writeAt(from, fileOffset);
      const redundantOffset = redundantOffsetOf(fileOffset);
      if (redundantOffset !== undefined) await storage.writeAt(from, redundantOffset);
    },
    zeroAt: (start, end) => storage.zeroAt(start, end),
    truncate: (size) => storage.truncate(size),
    reserve: (start, end, written) => storage.reserve(start, end, written),
    sync: () => storage.sync(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}
