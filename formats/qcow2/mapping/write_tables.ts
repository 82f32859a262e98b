/**
 * The L1 table and the L2 tables of an image being written.
 *
 * @module
 */
import { corrupt } from "../../errors.ts";
import { andThen, type MaybePromise } from "../../maybe_promise.ts";
import type { WritableStorage } from "../../storage/types.ts";
import { type TableCache, tableCache } from "../../shared/table_cache.ts";
import { hostOffsetOf, setEntry } from "./l2_entry.ts";
import type { MetadataRanges } from "../metadata_overlap.ts";
import type { Allocator } from "../refcounts/allocator.ts";
import { REPAIR_FIRST } from "../refuse_corrupt.ts";

/** The L1 and L2 tables of an image being written. */
export interface Tables {
  /** The active L1 table as on disk. */
  readonly l1: DataView;
  readonly cache: TableCache;
  /** Whether an L2 table exists for L1 entry `index`. */
  has(index: number): boolean;
  /**
   * Calls `change` with the L2 table of L1 entry `index`, which is allocated or copied first if needed. `change` must
   * call {@linkcode changed} if it changes the table, and must not keep the table.
   */
  change<T>(index: number, change: (table: DataView) => T): MaybePromise<T>;
  /** Marks the L2 table of L1 entry `index` as dirty. */
  changed(index: number): void;
  /** Whether the cache holds so many dirty tables that it might evict one. */
  readonly nearlyFull: boolean;
  /** Writes the dirty L2 tables. Their targets must be on stable storage. */
  flushL2(): Promise<void>;
  /** Writes the changed part of the L1 table. */
  flushL1(): Promise<void>;
}

/** Parameters of {@linkcode tablesOf}. */
export interface TablesSetup {
  readonly storage: WritableStorage;
  readonly clusterSize: number;
  /** The active L1 table as on disk. */
  readonly l1: DataView;
  readonly l1FileOffset: number;
  readonly allocator: Allocator;
  /** Clusters with metadata, which is kept up to date; absent for a new image. */
  readonly metadata?: MetadataRanges | undefined;
  /** A new image: no table is shared with a snapshot, and the order of writes is free. */
  readonly isNew: boolean;
  /** Bytes of L2 tables in the cache. */
  readonly cacheBytes: number;
  /** Writes refcounts and syncs data: the targets of L2 tables must be on stable storage before the tables. */
  syncReferenced(): Promise<void>;
  /** Releases a reference to `cluster` later, after no pointer to it is left on disk. */
  release(cluster: number): void;
}

/** Returns the tables of an image being written. */
export function tablesOf(setup: TablesSetup): Tables {
  const { storage, clusterSize, allocator, isNew } = setup;
  const { l1 } = setup;
  let synced = isNew;
  const syncReferenced = () => synced ? Promise.resolve() : setup.syncReferenced();
  const cache = tableCache(syncingStorage(storage, syncReferenced), clusterSize, setup.cacheBytes);
  const maxTables = Math.max(2, Math.floor(setup.cacheBytes / clusterSize));
  const dirty = new Set<number>();
  let dirtyFrom = Infinity;
  let dirtyTo = 0;

  function offsetOf(index: number): number {
    return hostOffsetOf(l1.getUint32(index * 8), l1.getUint32(index * 8 + 4));
  }

  async function allocate(index: number, content?: Uint8Array): Promise<void> {
    const { first } = await allocator.allocate(1);
    setEntry(l1, index * 8, first * clusterSize, true);
    dirtyFrom = Math.min(dirtyFrom, index);
    dirtyTo = Math.max(dirtyTo, index + 1);
    setup.metadata?.add(first, 1, "an L2 table");
    if (!isNew) dirty.add(first * clusterSize);
    await cache.make(first * clusterSize, content && (({ bytes }) => bytes.set(content)));
  }

  /** Replaces a table that a snapshot shares by a copy. */
  async function copyShared(index: number, fileOffset: number): Promise<void> {
    const cluster = fileOffset / clusterSize;
    const count = allocator.peekRefcount(cluster) ?? await allocator.refcount(cluster);
    if (count === 1) return refuseSnapshotTable(index, cluster);
    if (count === 0) {
      throw corrupt(
        `Cannot change the L2 table of L1 entry ${index} of "${storage.label}": its refcount is 0; ${REPAIR_FIRST}`,
        storage.label,
        fileOffset,
      );
    }
    await allocate(index, await cache.look(fileOffset, ({ bytes }) => bytes.slice()));
    setup.release(cluster);
  }

  /** Allocates the table, or copies it if it is shared. */
  function makeWritable(index: number): MaybePromise<void> {
    const fileOffset = offsetOf(index);
    if (fileOffset === 0) return allocate(index);
    if (!isNew) return copyShared(index, fileOffset);
  }

  /** If the refcount omits the snapshot, a change of the table would also change the snapshot. */
  function refuseSnapshotTable(index: number, cluster: number): void {
    if (setup.metadata?.at(cluster) !== "an L2 table of a snapshot") return;
    throw corrupt(
      `Cannot change the L2 table of L1 entry ${index} of "${storage.label}": a snapshot has it, too, but the refcount ` +
        `of its host cluster ${cluster} is 1, must be 2 or more; ${REPAIR_FIRST}`,
      storage.label,
      cluster * clusterSize,
    );
  }

  return {
    l1,
    cache,
    has: (index) => offsetOf(index) !== 0,
    change: (index, change) =>
      andThen(makeWritable(index), () => cache.look(offsetOf(index), ({ view }) => change(view))),
    changed(index) {
      cache.markDirty(offsetOf(index));
      if (!isNew) dirty.add(offsetOf(index));
    },
    get nearlyFull() {
      return !isNew && dirty.size >= maxTables - 1;
    },
    async flushL2() {
      synced = true;
      await cache.flush();
      synced = isNew;
      dirty.clear();
    },
    async flushL1() {
      const all = isNew && !storage.startsZeroed;
      const [from, to] = all ? [0, l1.byteLength / 8] : [dirtyFrom, dirtyTo];
      if (to > from) {
        const bytes = new Uint8Array(l1.buffer, l1.byteOffset + from * 8, (to - from) * 8);
        await storage.writeAt(bytes, setup.l1FileOffset + from * 8);
      }
      dirtyFrom = Infinity;
      dirtyTo = 0;
    },
  };
}

/** Decorates `storage`: a write of a table first syncs its targets. This concerns tables that the cache evicts. */
function syncingStorage(storage: WritableStorage, syncReferenced: () => Promise<void>): WritableStorage {
  return {
    label: storage.label,
    get size() {
      return storage.size;
    },
    startsZeroed: storage.startsZeroed,
    zeroesCheaply: storage.zeroesCheaply,
    readAt: (into, fileOffset) => storage.readAt(into, fileOffset),
    async writeAt(from, fileOffset) {
      await syncReferenced();
      await storage.writeAt(from, fileOffset);
    },
    zeroAt: (start, end) => storage.zeroAt(start, end),
    truncate: (size) => storage.truncate(size),
    reserve: (start, end, written) => storage.reserve(start, end, written),
    sync: () => storage.sync(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
