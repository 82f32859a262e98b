/**
 * A bounded cache of equally long tables of an image (L2 tables, refcount blocks, block maps), by file offset.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";

/** One table, by its bytes and by its numbers. */
export interface Table {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * Tables of one length, the least recently used of which give way. Offsets are file bytes.
 *
 * The memory of a table that gives way is used for the next one: a walk over a large disk needs thousands of tables, a
 * few at a time, and the engine is slow to collect such garbage. Therefore a table is only lent for the time of a call
 * that cannot wait ({@linkcode look}); whoever must keep one takes it ({@linkcode get}), and its memory is not used again.
 */
export interface TableCache {
  /**
   * What `look` says of the table at `fileOffset`: at once if it is here, else after one read. `look` may change the
   * table and call {@linkcode markDirty}. It must not keep the table, whose memory may hold another one afterwards, and
   * ask the cache for nothing else.
   */
  look<T>(fileOffset: number, look: (table: Table) => T): MaybePromise<T>;
  /**
   * The table at `fileOffset`, read with one request if it is not here. It is the cache's own copy: change it and call
   * {@linkcode markDirty} without an `await` in between, or the change may be lost.
   */
  get(fileOffset: number): Promise<Uint8Array>;
  /** As {@linkcode look}, if the table is here; else `undefined`. */
  peek<T>(fileOffset: number, look: (table: Table) => T): T | undefined;
  /** Notes that the table at `fileOffset`, which must be here, was changed; it is written before it gives way. */
  markDirty(fileOffset: number): void;
  /** Adds a table of zeroes at `fileOffset`, dirty, and lends it to `fill`; for a new table, which need not be read. */
  make(fileOffset: number, fill?: (table: Table) => void): Promise<void>;
  /** Takes `bytes` as the table at `fileOffset`, dirty; for a new table, which need not be read. Keeps `bytes` itself. */
  put(fileOffset: number, bytes: Uint8Array): Promise<void>;
  /** Forgets the table at `fileOffset` without writing it; for a table that is freed. */
  drop(fileOffset: number): void;
  /** Writes all dirty tables, in the order of their file offsets. */
  flush(): Promise<void>;
}

interface Entry extends Table {
  dirty: boolean;
  /** The write under way, if there is one: until it ends, nobody may read the place of this table from storage. */
  writing: Promise<void> | null;
  /** Whether somebody has taken it: its memory is never used for another table. */
  taken: boolean;
}

/** Somebody who waits for a table that is being read. */
interface Waiting {
  look(entry: Entry): void;
  fail(error: unknown): void;
}

/**
 * Makes a cache.
 *
 * @param storage where the tables lie; writable if tables are to be changed
 * @param tableBytes length of each table
 * @param maxBytes how many bytes of tables to hold; at least two tables are held
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { tableCache } from "./table_cache.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(new Uint8Array(16));
 * const cache = tableCache(storage, 8, 1024);
 * await cache.look(8, ({ bytes }) => {
 *   bytes[0] = 7;
 *   cache.markDirty(8);
 * });
 * assert.equal(storage.bytes()[8], 0);
 * await cache.flush();
 * assert.equal(storage.bytes()[8], 7);
 * ```
 */
export function tableCache(storage: Storage | WritableStorage, tableBytes: number, maxBytes: number): TableCache {
  const maxTables = Math.max(2, Math.floor(maxBytes / tableBytes));
  // A Map keeps the order of insertion: the first entry is the one that was not used for the longest time.
  const entries = new Map<number, Entry>();
  const loading = new Map<number, Waiting[]>();
  /** Memory of the last table that gave way. */
  let spare: Table | null = null;

  function touch(fileOffset: number): Entry | undefined {
    const entry = entries.get(fileOffset);
    if (entry === undefined) return undefined;
    entries.delete(fileOffset);
    entries.set(fileOffset, entry);
    return entry;
  }

  function memory(): Table {
    const table = spare ?? tableOf(new Uint8Array(tableBytes));
    spare = null;
    return table;
  }

  /** Lets `look` have the table when it has been read; once for all who ask at one time. */
  function lookLater<T>(fileOffset: number, look: (entry: Entry) => T): Promise<T> {
    return new Promise((resolve, fail) => {
      const one: Waiting = {
        look(entry) {
          try {
            resolve(look(entry));
          } catch (error) {
            fail(error);
          }
        },
        fail,
      };
      const others = loading.get(fileOffset);
      if (others !== undefined) return void others.push(one);
      loading.set(fileOffset, [one]);
      read(fileOffset, loading.get(fileOffset)!);
    });
  }

  async function read(fileOffset: number, waiting: readonly Waiting[]): Promise<void> {
    try {
      const table = memory();
      await storage.readAt(table.bytes, fileOffset);
      if (!entries.has(fileOffset)) await makeRoom(1);
      let entry = touch(fileOffset);
      if (entry === undefined) {
        entry = entryOf(table, { dirty: false, taken: false });
        entries.set(fileOffset, entry);
      }
      // Here and now: a moment later it may have given way.
      for (const one of waiting) one.look(entry);
    } catch (error) {
      for (const one of waiting) one.fail(error);
    } finally {
      loading.delete(fileOffset);
    }
  }

  async function makeRoom(count: number): Promise<void> {
    while (entries.size + count > maxTables) {
      const oldest = entries.entries().next().value;
      if (oldest === undefined) return;
      const [fileOffset, entry] = oldest;
      if (entry.dirty || entry.writing !== null) {
        await writeBack(fileOffset, entry);
        continue;
      }
      entries.delete(fileOffset);
      if (!entry.taken) spare = entry;
    }
  }

  async function writeBack(fileOffset: number, entry: Entry): Promise<void> {
    while (entry.writing !== null) await entry.writing.catch(() => {});
    if (!entry.dirty || entries.get(fileOffset) !== entry) return;
    entry.dirty = false;
    entry.writing = writable(storage).writeAt(entry.bytes, fileOffset);
    try {
      await entry.writing;
    } catch (error) {
      entry.dirty = true;
      throw error;
    } finally {
      entry.writing = null;
    }
  }

  async function add(fileOffset: number, entry: Entry): Promise<void> {
    const old = entries.get(fileOffset);
    while (old !== undefined && old.writing !== null) await old.writing.catch(() => {});
    entries.delete(fileOffset);
    entries.set(fileOffset, entry);
    await makeRoom(0);
  }

  return {
    look(fileOffset, look) {
      const here = touch(fileOffset);
      return here === undefined ? lookLater(fileOffset, look) : look(here);
    },
    get(fileOffset) {
      const here = touch(fileOffset);
      return here === undefined ? lookLater(fileOffset, take) : Promise.resolve(take(here));
    },
    peek(fileOffset, look) {
      const here = touch(fileOffset);
      return here && look(here);
    },
    markDirty(fileOffset) {
      const entry = entries.get(fileOffset);
      if (entry === undefined) throw new Error(`No table at ${fileOffset} in the cache: it was changed too late`);
      entry.dirty = true;
    },
    async make(fileOffset, fill) {
      const table = memory();
      table.bytes.fill(0);
      fill?.(table);
      await add(fileOffset, entryOf(table, { dirty: true, taken: false }));
    },
    put: (fileOffset, bytes) => add(fileOffset, entryOf(tableOf(bytes), { dirty: true, taken: true })),
    drop(fileOffset) {
      entries.delete(fileOffset);
    },
    async flush() {
      const dirty = [...entries].filter(([, entry]) => entry.dirty || entry.writing !== null);
      dirty.sort(([a], [b]) => a - b);
      for (const [fileOffset, entry] of dirty) await writeBack(fileOffset, entry);
    },
  };
}

function tableOf(bytes: Uint8Array): Table {
  return { bytes, view: viewOf(bytes) };
}

function entryOf({ bytes, view }: Table, { dirty, taken }: Pick<Entry, "dirty" | "taken">): Entry {
  return { bytes, view, dirty, writing: null, taken };
}

function take(entry: Entry): Uint8Array {
  entry.taken = true;
  return entry.bytes;
}

function writable(storage: Storage | WritableStorage): WritableStorage {
  if ("writeAt" in storage) return storage;
  throw new ImageError("io", `Cannot write a table of "${storage.label}": it was opened for reading`, {
    path: storage.label,
  });
}
