/**
 * A bounded cache of tables of an image that have one length (L2 tables, refcount blocks, pages of a block map), by file
 * offset. It evicts the least recently used table, which it writes first if it was changed.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";

/** One table, as bytes and as a view of its fields. */
export interface Table {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * Tables of one length. Offsets are file bytes.
 *
 * The cache reuses the memory of an evicted table for the next one: a walk over a large disk reads thousands of tables, a
 * few at a time, and the engine is slow to collect such garbage. Therefore a caller may use a table only inside a
 * synchronous callback ({@linkcode look}), or retain it ({@linkcode get}); the memory of a retained table is not reused.
 */
export interface TableCache {
  /**
   * Returns the result of `look` for the table at `fileOffset`; returns no promise if the cache holds the table, else reads
   * it first. `look` may change the table and call {@linkcode markDirty}. It must not keep the table, whose memory may hold
   * another one afterwards, and must not call other methods of the cache.
   */
  look<T>(fileOffset: number, look: (table: Table) => T): MaybePromise<T>;
  /**
   * Returns and retains the table at `fileOffset`, read with one request if the cache does not hold it. It is the copy of
   * the cache: a caller that changes it calls {@linkcode markDirty} before the next `await`, or the change may be lost.
   */
  get(fileOffset: number): Promise<Uint8Array>;
  /** As {@linkcode look} if the cache holds the table; else returns `undefined`. */
  peek<T>(fileOffset: number, look: (table: Table) => T): T | undefined;
  /** Marks the table at `fileOffset`, which the cache must hold, as changed; it is written before it is evicted. */
  markDirty(fileOffset: number): void;
  /** Adds a new table of zeroes at `fileOffset`, dirty, which `fill` may change. */
  make(fileOffset: number, fill?: (table: Table) => void): Promise<void>;
  /** Adds `bytes` as a new table at `fileOffset`, dirty. Keeps `bytes` itself. */
  put(fileOffset: number, bytes: Uint8Array): Promise<void>;
  /** Removes the table at `fileOffset` without writing it; for a table that is freed. */
  drop(fileOffset: number): void;
  /** Writes all dirty tables, in the order of their file offsets. */
  flush(): Promise<void>;
}

interface Entry extends Table {
  dirty: boolean;
  /** The write in progress: until it ends, the bytes of this table must not be read from storage. */
  writing: Promise<void> | null;
  /** Whether a caller has retained it: its memory is not reused. */
  retained: boolean;
}

/** A call that waits for a table that is being read. */
interface Waiting {
  look(entry: Entry): void;
  fail(error: unknown): void;
}

/**
 * Creates an empty cache.
 *
 * @param storage the file with the tables; writable if tables are to be changed
 * @param tableBytes length of each table
 * @param maxBytes bytes of tables to hold; at least two tables are held
 * @param end file offset where the last table ends, which may be shorter; absent where all have the full length
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
export function tableCache(
  storage: Storage | WritableStorage,
  tableBytes: number,
  maxBytes: number,
  end: number = Infinity,
): TableCache {
  const maxTables = Math.max(2, Math.floor(maxBytes / tableBytes));
  // A Map keeps the order of insertion: its first entry is the least recently used.
  const entries = new Map<number, Entry>();
  const loading = new Map<number, Waiting[]>();
  /** Memory of the last evicted table. */
  let spare: Table | null = null;

  /** The entry that was inserted last: of an image of many small extents it is looked up thousands of times in turn. */
  let newest: Entry | null = null;

  function insert(fileOffset: number, entry: Entry): void {
    entries.set(fileOffset, entry);
    newest = entry;
  }

  /** Returns the entry and makes it the most recently used. */
  function touch(fileOffset: number): Entry | undefined {
    const entry = entries.get(fileOffset);
    if (entry === undefined || entry === newest) return entry;
    entries.delete(fileOffset);
    insert(fileOffset, entry);
    return entry;
  }

  /** Returns memory for the table at `fileOffset`, with any content. */
  function memory(fileOffset: number): Table {
    const length = Math.min(tableBytes, end - fileOffset);
    if (spare === null || spare.bytes.length !== length) return tableOf(new Uint8Array(length));
    const table = spare;
    spare = null;
    return table;
  }

  /** Calls `look` when the table has been read; concurrent calls share one read. */
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
      const table = memory(fileOffset);
      await storage.readAt(table.bytes, fileOffset);
      if (!entries.has(fileOffset)) await makeRoom(1);
      let entry = touch(fileOffset);
      if (entry === undefined) {
        entry = entryOf(table, { dirty: false, retained: false });
        insert(fileOffset, entry);
      }
      // Before the next `await`: the table may be evicted then.
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
      if (!entry.retained) spare = entry;
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
    insert(fileOffset, entry);
    await makeRoom(0);
  }

  return {
    look(fileOffset, look) {
      const entry = touch(fileOffset);
      return entry === undefined ? lookLater(fileOffset, look) : look(entry);
    },
    get(fileOffset) {
      const entry = touch(fileOffset);
      return entry === undefined ? lookLater(fileOffset, retain) : Promise.resolve(retain(entry));
    },
    peek(fileOffset, look) {
      const entry = touch(fileOffset);
      return entry && look(entry);
    },
    markDirty(fileOffset) {
      const entry = entries.get(fileOffset);
      if (entry === undefined) throw new Error(`No table at ${fileOffset} in the cache: it was changed too late`);
      entry.dirty = true;
    },
    async make(fileOffset, fill) {
      const table = memory(fileOffset);
      table.bytes.fill(0);
      fill?.(table);
      await add(fileOffset, entryOf(table, { dirty: true, retained: false }));
    },
    put: (fileOffset, bytes) => add(fileOffset, entryOf(tableOf(bytes), { dirty: true, retained: true })),
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

function entryOf({ bytes, view }: Table, { dirty, retained }: Pick<Entry, "dirty" | "retained">): Entry {
  return { bytes, view, dirty, writing: null, retained };
}

function retain(entry: Entry): Uint8Array {
  entry.retained = true;
  return entry.bytes;
}

function writable(storage: Storage | WritableStorage): WritableStorage {
  if ("writeAt" in storage) return storage;
  throw new ImageError("io", `Cannot write a table of "${storage.label}": it was opened for reading`, {
    path: storage.label,
  });
}
