/**
 * A bounded cache of equally long tables of an image (L2 tables, refcount blocks, block maps), by file offset.
 *
 * @module
 */
import { ImageError } from "./errors.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/** Tables of one length, the least recently used of which give way. Offsets are file bytes. */
export interface TableCache {
  /**
   * The table at `fileOffset`, read with one request if it is not here. It is the cache's own copy: change it and call
   * {@linkcode markDirty} without an `await` in between, or the change may be lost.
   */
  get(fileOffset: number): Promise<Uint8Array>;
  /** The table at `fileOffset` if it is here, without waiting. */
  peek(fileOffset: number): Uint8Array | undefined;
  /** Notes that the table at `fileOffset`, which must be here, was changed; it is written before it gives way. */
  markDirty(fileOffset: number): void;
  /** Takes `bytes` as the table at `fileOffset`, dirty; for a new table, which need not be read. Keeps `bytes` itself. */
  put(fileOffset: number, bytes: Uint8Array): Promise<void>;
  /** Forgets the table at `fileOffset` without writing it; for a table that is freed. */
  drop(fileOffset: number): void;
  /** Writes all dirty tables, in the order of their file offsets. */
  flush(): Promise<void>;
}

interface Entry {
  readonly bytes: Uint8Array;
  dirty: boolean;
  /** The write under way, if there is one: until it ends, nobody may read the place of this table from storage. */
  writing: Promise<void> | null;
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
 * import { MemoryStorage } from "./storage/memory.ts";
 * import { tableCache } from "./table_cache.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(new Uint8Array(16));
 * const cache = tableCache(storage, 8, 1024);
 * const table = await cache.get(8);
 * table[0] = 7;
 * cache.markDirty(8);
 * assert.equal(storage.bytes()[8], 0);
 * await cache.flush();
 * assert.equal(storage.bytes()[8], 7);
 * ```
 */
export function tableCache(storage: Storage | WritableStorage, tableBytes: number, maxBytes: number): TableCache {
  const maxTables = Math.max(2, Math.floor(maxBytes / tableBytes));
  // A Map keeps the order of insertion: the first entry is the one that was not used for the longest time.
  const entries = new Map<number, Entry>();
  const loading = new Map<number, Promise<Uint8Array>>();

  function touch(fileOffset: number): Uint8Array | undefined {
    const entry = entries.get(fileOffset);
    if (entry === undefined) return undefined;
    entries.delete(fileOffset);
    entries.set(fileOffset, entry);
    return entry.bytes;
  }

  async function load(fileOffset: number): Promise<Uint8Array> {
    try {
      const bytes = new Uint8Array(tableBytes);
      await storage.readAt(bytes, fileOffset);
      const newer = entries.get(fileOffset);
      if (newer !== undefined) return newer.bytes;
      await makeRoom(1);
      const meanwhile = entries.get(fileOffset);
      if (meanwhile !== undefined) return meanwhile.bytes;
      entries.set(fileOffset, { bytes, dirty: false, writing: null });
      return bytes;
    } finally {
      loading.delete(fileOffset);
    }
  }

  async function makeRoom(count: number): Promise<void> {
    while (entries.size + count > maxTables) {
      const oldest = entries.entries().next().value;
      if (oldest === undefined) return;
      const [fileOffset, entry] = oldest;
      if (entry.dirty || entry.writing !== null) await writeBack(fileOffset, entry);
      else entries.delete(fileOffset);
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

  return {
    get(fileOffset) {
      const here = touch(fileOffset);
      if (here !== undefined) return Promise.resolve(here);
      let promise = loading.get(fileOffset);
      if (promise === undefined) {
        promise = load(fileOffset);
        loading.set(fileOffset, promise);
      }
      return promise;
    },
    peek: touch,
    markDirty(fileOffset) {
      const entry = entries.get(fileOffset);
      if (entry === undefined) throw new Error(`No table at ${fileOffset} in the cache: it was changed too late`);
      entry.dirty = true;
    },
    async put(fileOffset, bytes) {
      const old = entries.get(fileOffset);
      while (old !== undefined && old.writing !== null) await old.writing.catch(() => {});
      entries.delete(fileOffset);
      entries.set(fileOffset, { bytes, dirty: true, writing: null });
      await makeRoom(0);
    },
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

function writable(storage: Storage | WritableStorage): WritableStorage {
  if ("writeAt" in storage) return storage;
  throw new ImageError("io", `Cannot write a table of "${storage.label}": it was opened for reading`, {
    path: storage.label,
  });
}
