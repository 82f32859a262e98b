/**
 * A table with one 32-bit entry for each block of the guest disk: the block map of VDI, the block allocation table of
 * VHD. It is held in pages, so that a table of any length costs bounded memory.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";

/** The entry of a block that is not allocated. */
export const FREE = 0xffffffff;

/** Bytes of a page: entries for 32 GiB of disk with blocks of 2 MiB. */
const PAGE_BYTES = 64 << 10;
const PAGE_ENTRIES = PAGE_BYTES / 4;
/** Pages that are held of a table that can be read again: 16 MiB. */
const MAX_PAGES = 256;

/** The entries `[first, end)` of a table. */
export interface BlockPage {
  readonly first: number;
  readonly end: number;
  /** The entry of block `index`, which lies in this page. */
  entry(index: number): number;
}

/** A table of blocks. Entries past its end cannot be asked for. */
export interface BlockTable {
  /** How many entries it has. */
  readonly entries: number;
  /** The page that holds the entry of block `index`. Use it before the next `await`: a later change may not show. */
  load(index: number): MaybePromise<BlockPage>;
  /** Changes one entry. */
  set(index: number, value: number): Promise<void>;
  /** Writes what was changed; of a new table, everything. */
  flush(): Promise<void>;
}

/** Where a table lies and how its entries are stored. */
export interface TablePlace {
  /** File offset of the first entry. */
  readonly fileOffset: number;
  readonly entries: number;
  readonly littleEndian: boolean;
}

interface Page {
  readonly view: DataView;
  dirty: boolean;
}

/**
 * The table of an existing image.
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
export function openBlockTable(storage: Storage | WritableStorage, place: TablePlace): BlockTable {
  const end = place.fileOffset + place.entries * 4;
  if (end > storage.size) {
    throw corrupt(
      `Cannot read the block table of "${storage.label}": it ends at byte ${end}, past the end of the file (${storage.size})`,
      storage.label,
      place.fileOffset,
    );
  }
  const pages = new Map<number, Page>();

  function pageAt(number: number): MaybePromise<Page> {
    const here = pages.get(number);
    if (here === undefined) return readPage(number);
    // The first page of the map is the one that was not used for the longest time.
    pages.delete(number);
    pages.set(number, here);
    return here;
  }

  async function readPage(number: number): Promise<Page> {
    const bytes = new Uint8Array(pageBytes(place, number));
    await storage.readAt(bytes, place.fileOffset + number * PAGE_BYTES);
    const meanwhile = pages.get(number);
    if (meanwhile !== undefined) return meanwhile;
    const page = { view: viewOf(bytes), dirty: false };
    pages.set(number, page);
    await makeRoom();
    return page;
  }

  async function makeRoom(): Promise<void> {
    while (pages.size > MAX_PAGES) {
      const [number, page] = pages.entries().next().value!;
      if (page.dirty) await write(number, page);
      pages.delete(number);
    }
  }

  async function write(number: number, page: Page): Promise<void> {
    await writePage(storage as WritableStorage, place, number, page.view);
    page.dirty = false;
  }

  return {
    entries: place.entries,
    load: (index) => andThen(pageAt(Math.floor(index / PAGE_ENTRIES)), ({ view }) => viewPage(place, index, view)),
    async set(index, value) {
      const page = await pageAt(Math.floor(index / PAGE_ENTRIES));
      page.view.setUint32(index % PAGE_ENTRIES * 4, value, place.littleEndian);
      page.dirty = true;
    },
    async flush() {
      const dirty = [...pages].filter(([, page]) => page.dirty).sort(([a], [b]) => a - b);
      for (const [number, page] of dirty) await write(number, page);
    },
  };
}

/**
 * The table of a new image, all blocks free. It is never read back, and nothing is written before `flush`; it holds only
 * the pages that were changed.
 *
 * @param paddedBytes bytes that the table takes in the file, what is past its last entry filled as if free
 */
export function newBlockTable(storage: WritableStorage, place: TablePlace, paddedBytes: number): BlockTable {
  const padded = { ...place, entries: paddedBytes / 4 };
  const pages = new Map<number, DataView>();
  const free = viewOf(new Uint8Array(Math.min(PAGE_BYTES, paddedBytes)).fill(0xff));
  return {
    entries: place.entries,
    load(index) {
      return viewPage(place, index, pages.get(Math.floor(index / PAGE_ENTRIES)) ?? free);
    },
    set(index, value) {
      const number = Math.floor(index / PAGE_ENTRIES);
      let view = pages.get(number);
      if (view === undefined) {
        view = viewOf(new Uint8Array(pageBytes(padded, number)).fill(0xff));
        pages.set(number, view);
      }
      view.setUint32(index % PAGE_ENTRIES * 4, value, place.littleEndian);
      return Promise.resolve();
    },
    async flush() {
      for (let number = 0; number * PAGE_BYTES < paddedBytes; number++) {
        await writePage(storage, padded, number, pages.get(number) ?? free);
      }
    },
  };
}

function pageBytes(place: TablePlace, number: number): number {
  return Math.min(PAGE_BYTES, place.entries * 4 - number * PAGE_BYTES);
}

function viewPage(place: TablePlace, index: number, view: DataView): BlockPage {
  const first = index - index % PAGE_ENTRIES;
  return {
    first,
    end: Math.min(first + PAGE_ENTRIES, place.entries),
    entry: (at) => view.getUint32((at - first) * 4, place.littleEndian),
  };
}

async function writePage(storage: WritableStorage, place: TablePlace, number: number, view: DataView): Promise<void> {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, pageBytes(place, number));
  await storage.writeAt(bytes, place.fileOffset + number * PAGE_BYTES);
}
