/**
 * The grain tables of an extent that is being written, both copies of them.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import type { SparseHeader } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";

/** Bytes of tables of an old extent held: enough for 256 GiB of disk with the usual grains. */
const TABLE_CACHE_BYTES = 16 << 20;

/** Grain tables by their number in the grain directory. */
export interface Tables {
  /** The grain directory; entries are sectors. */
  readonly directory: DataView;
  /** The table `index`; null where it has none, so that all its grains are holes. */
  find(index: number): Promise<Uint8Array | null>;
  /** The table `index`, made where there is none. Change it and call {@linkcode changed} without an `await` between. */
  forChange(index: number): Promise<Uint8Array>;
  changed(index: number): void;
  /** Writes all changed tables. */
  flush(): Promise<void>;
  /** Writes both grain directories where the header says that they lie, if they were changed. */
  flushDirectories(): Promise<void>;
}

/** What {@linkcode tablesFor} needs. */
export interface TablesSetup {
  readonly storage: WritableStorage;
  readonly header: SparseHeader;
  readonly directory: Uint8Array;
  /** The redundant grain directory, where there is one. */
  readonly redundant: Uint8Array | null;
  /** A new extent: tables that were not made here are empty, and nothing is read. */
  readonly fresh: boolean;
  /** Finds a place in the file for a new table. */
  place(length: number): Promise<number>;
}

/** The tables that `setup` describes. */
export function tablesFor(setup: TablesSetup): Tables {
  const { storage, header, fresh } = setup;
  const directory = viewOf(setup.directory);
  const redundant = setup.redundant && viewOf(setup.redundant);
  const tableBytes = tableBytesOf(header);
  const twins = new Map<number, number>();
  const mirrored = redundant === null ? storage : mirror(storage, (fileOffset) => twins.get(fileOffset));
  // The tables of a new extent exist only here: none may be evicted.
  const cache = tableCache(mirrored, tableBytes, fresh ? Infinity : TABLE_CACHE_BYTES);
  let directoriesChanged = fresh;

  /** Notes where the twin of a table lies, and returns the place of the table; 0: there is none. */
  function offsetOf(index: number): number {
    const place = directory.getUint32(index * 4, true) * SECTOR;
    const twin = redundant === null ? 0 : redundant.getUint32(index * 4, true) * SECTOR;
    if (place !== 0 && twin !== 0 && twin !== place) twins.set(place, twin);
    return place;
  }

  /** A table of an old extent, which may say anything. */
  async function load(index: number, place: number): Promise<Uint8Array> {
    const last = Math.max(place, twins.get(place) ?? 0) + tableBytes;
    if (place >= 2 * SECTOR && last <= storage.size) return await cache.get(place);
    const message = `Cannot change grain table ${index} of "${storage.label}": it lies outside the file`;
    throw corrupt(message, storage.label);
  }

  async function make(index: number): Promise<Uint8Array> {
    let place = offsetOf(index);
    if (place === 0) {
      place = await setup.place(tableBytes);
      directory.setUint32(index * 4, place / SECTOR, true);
      if (redundant !== null) redundant.setUint32(index * 4, await setup.place(tableBytes) / SECTOR, true);
      directoriesChanged = true;
      offsetOf(index);
    }
    const table = new Uint8Array(tableBytes);
    await cache.put(place, table);
    return table;
  }

  async function find(index: number): Promise<Uint8Array | null> {
    const place = offsetOf(index);
    if (place !== 0 && cache.peek(place, () => true)) return await cache.get(place);
    return fresh || place === 0 ? null : await load(index, place);
  }

  return {
    directory,
    find,
    forChange: async (index) => await find(index) ?? await make(index),
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

/** The end of the used part of a file. */
export interface FileEnd {
  /** File offset. */
  next: number;
}

/** Allocates `length` bytes at the end of the file, at a multiple of `unit` bytes; returns their file offset. */
export function allocateAt(storage: WritableStorage, end: FileEnd, length: number, unit: number): number {
  const place = alignUp(end.next, unit);
  checkReach(storage, place + length);
  end.next = place + length;
  return place;
}

/** The first byte after the largest file that 32-bit sector numbers reach. */
export const MAX_FILE_BYTES = 2 ** 32 * SECTOR;

/** Throws where a file would grow past what its tables can point at. */
export function checkReach(storage: WritableStorage, end: number): void {
  if (end <= MAX_FILE_BYTES) return;
  const message = `Cannot write more into "${storage.label}": its tables cannot point past 2 TiB of the file; ` +
    `subformat=twoGbMaxExtentSparse has no such limit`;
  throw new ImageError("unsupported", message, { path: storage.label });
}

/** `storage`, in which every write at the place of a table goes to its twin as well. */
function mirror(storage: WritableStorage, twinOf: (fileOffset: number) => number | undefined): WritableStorage {
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
      const twin = twinOf(fileOffset);
      if (twin !== undefined) await storage.writeAt(from, twin);
    },
    zeroAt: (start, end) => storage.zeroAt(start, end),
    truncate: (size) => storage.truncate(size),
    reserve: (start, end, written) => storage.reserve(start, end, written),
    sync: () => storage.sync(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}
