/**
 * A table with one 32-bit entry for each block of the guest disk: the block map of VDI, the block allocation table of
 * VHD. It is read and written in pages, so that a table of any length takes bounded memory.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { type Table, tableCache } from "./table_cache.ts";

/** The entry of a block that is not allocated. */
export const FREE = 0xffffffff;

/** Bytes of a page: entries for 32 GiB of disk with blocks of 2 MiB. */
const PAGE_BYTES = 64 << 10;
const PAGE_ENTRIES = PAGE_BYTES / 4;
/** Bytes of pages in memory, of a table that can be read again. */
const CACHE_BYTES = 16 << 20;

/** The entries `[first, end)` of a table. */
export interface BlockPage {
  readonly first: number;
  readonly end: number;
  /** Returns the entry of block `index`, which lies in this page. */
  entry(index: number): number;
}

/** A table of blocks. Callers ask only for entries before its end. */
export interface BlockTable {
  /** Number of entries. */
  readonly entries: number;
  /** Returns the page with the entry of block `index`. It is valid until the next `await`: a later change may not show. */
  load(index: number): MaybePromise<BlockPage>;
  /** Changes one entry. */
  set(index: number, value: number): Promise<void>;
  /** Writes the changed pages; of a new table, all pages. */
  flush(): Promise<void>;
}

/** The location of a table and the byte order of its entries. */
export interface TableLocation {
  /** File offset of the first entry. */
  readonly fileOffset: number;
  readonly entries: number;
  readonly littleEndian: boolean;
}

/**
 * Opens the table of an existing image.
 *
 * @throws ImageError `corrupt` if it ends past the end of the file
 *
 * @example
 * ```ts
 * import { openBlockTable } from "./block_table.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(new Uint8Array([0, 0, 0, 7, 0, 0, 0, 9]));
 * const table = openBlockTable(storage, { fileOffset: 0, entries: 2, littleEndian: false });
 * assert.equal((await table.load(1)).entry(1), 9);
 * ```
 */
export function openBlockTable(storage: Storage | WritableStorage, location: TableLocation): BlockTable {
  const { fileOffset, entries, littleEndian } = location;
  const end = fileOffset + entries * 4;
  if (end > storage.size) {
    throw corrupt(
      `Cannot read the block table of "${storage.label}": it ends at byte ${end}, past the end of the file (${storage.size})`,
      storage.label,
      fileOffset,
    );
  }
  const pages = tableCache(storage, PAGE_BYTES, CACHE_BYTES, end);
  const offsetOf = (index: number): number => fileOffset + Math.floor(index / PAGE_ENTRIES) * PAGE_BYTES;
  return {
    entries,
    load(index) {
      const view = ({ view }: Pick<Table, "view">): BlockPage => pageOf(location, index, view);
      // A page that is read now is retained: the caller uses it after the cache may have evicted it.
      return pages.peek(offsetOf(index), view) ??
        pages.get(offsetOf(index)).then((bytes) => view({ view: viewOf(bytes) }));
    },
    async set(index, value) {
      await pages.look(offsetOf(index), ({ view }) => {
        view.setUint32(index % PAGE_ENTRIES * 4, value, littleEndian);
        pages.markDirty(offsetOf(index));
      });
    },
    flush: () => pages.flush(),
  };
}

/**
 * Creates the table of a new image, with all blocks free. It is never read back, and nothing is written before `flush`; it
 * holds only the pages that were changed.
 *
 * @param paddedBytes bytes that the table takes in the file
 * @param padding each of the bytes after its last entry
 */
export function newBlockTable(
  storage: WritableStorage,
  location: TableLocation,
  paddedBytes: number,
  padding: 0 | 0xff = 0xff,
): BlockTable {
  const { fileOffset, entries, littleEndian } = location;
  const pages = new Map<number, DataView>();
  const pageBytes = (number: number): number => Math.min(PAGE_BYTES, paddedBytes - number * PAGE_BYTES);
  const free = viewOf(new Uint8Array(pageBytes(0)).fill(0xff));
  return {
    entries,
    load: (index) => pageOf(location, index, pages.get(Math.floor(index / PAGE_ENTRIES)) ?? free),
    set(index, value) {
      const number = Math.floor(index / PAGE_ENTRIES);
      let view = pages.get(number);
      if (view === undefined) {
        view = viewOf(new Uint8Array(pageBytes(number)).fill(0xff));
        pages.set(number, view);
      }
      view.setUint32(index % PAGE_ENTRIES * 4, value, littleEndian);
      return Promise.resolve();
    },
    async flush() {
      for (let number = 0; number * PAGE_BYTES < paddedBytes; number++) {
        const { buffer, byteOffset } = pages.get(number) ?? free;
        const bytes = new Uint8Array(buffer, byteOffset, pageBytes(number));
        const used = entries * 4 - number * PAGE_BYTES;
        const isPadded = padding !== 0xff && used < bytes.length;
        const padded = isPadded ? bytes.slice().fill(padding, used) : bytes;
        await storage.writeAt(padded, fileOffset + number * PAGE_BYTES);
      }
    },
  };
}

function pageOf({ entries, littleEndian }: TableLocation, index: number, view: DataView): BlockPage {
  const first = index - index % PAGE_ENTRIES;
  return {
    first,
    end: Math.min(first + PAGE_ENTRIES, entries),
    entry: (at) => view.getUint32((at - first) * 4, littleEndian),
  };
}
