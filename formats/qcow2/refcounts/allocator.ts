/**
 * Refcounts of an image being written, and the allocation of its host clusters (specification, "Host cluster
 * management").
 *
 * @module
 */
import { alignUp, setU64, viewOf } from "../../bytes.ts";
import { corrupt, ImageError } from "../../errors.ts";
import type { MaybePromise } from "../../maybe_promise.ts";
import type { WritableStorage } from "../../storage/types.ts";
import { tableCache } from "../../shared/table_cache.ts";
import type { Header } from "../header/header.ts";
import { REFCOUNT_TABLE_BYTES_MAX } from "../header/types.ts";
import type { MetadataRanges } from "../metadata_overlap.ts";
import { fillOnes, maxRefcount, refcountAt, refcountsPerBlock, setRefcount } from "./refcount_block.ts";
import type { RefcountMap } from "./refcount_map.ts";
import { REPAIR_FIRST } from "../refuse_corrupt.ts";

/** File offset and length of the refcount table. */
export type RefcountTableLocation = Header["refcountTable"];

/** Host clusters `[first, first + count)`, counted from the start of the file. */
export interface Clusters {
  readonly first: number;
  readonly count: number;
  /** Whether the clusters lie past all others and were never allocated before. */
  readonly atEnd: boolean;
}

/** The refcounts of one image and the allocation of its clusters. Clusters are numbered from the start of the file. */
export interface Allocator {
  /** The cluster after the last one in use. */
  readonly end: number;
  /** Maximum refcount of a cluster. */
  readonly maxRefcount: number;
  /** Location of the refcount table after {@linkcode flush}. */
  readonly tableLocation: RefcountTableLocation;
  /** Returns the refcount of `cluster`. */
  refcount(cluster: number): MaybePromise<number>;
  /** Returns the refcount of `cluster` if its block is in the cache. */
  peekRefcount(cluster: number): number | undefined;
  /**
   * Allocates 1 to `count` consecutive clusters, with the refcount 1: free ones if there are any, else at the end.
   *
   * @throws ImageError `unsupported` where the refcount table would exceed its limit
   */
  allocate(count: number): Promise<Clusters>;
  /** Allocates exactly `count` consecutive clusters past all others. Returns the first. */
  allocateAtEnd(count: number): Promise<number>;
  /** Adds one reference. The caller has checked the refcount against {@linkcode maxRefcount}. */
  increment(cluster: number): Promise<void>;
  /** Releases one reference. Returns the remaining refcount. */
  decrement(cluster: number): Promise<number>;
  /** Writes the dirty refcount blocks, then the refcount table. */
  flush(): Promise<void>;
}

/** Parameters of {@linkcode allocatorOf}. */
export interface AllocatorSetup {
  readonly storage: WritableStorage;
  readonly clusterSize: number;
  readonly refcountOrder: number;
  readonly tableLocation: RefcountTableLocation;
  /** File offsets of the refcount blocks, 0 for none. Its length is the one at `tableLocation`. */
  readonly table: Float64Array;
  /** A new image: freed clusters are not reused, so no block is ever read back; the order of writes is free. */
  readonly isNew: boolean;
  /** Bytes of refcount blocks in the cache. */
  readonly cacheBytes: number;
  /** The cluster after the last one in use inside the file. */
  readonly end: number;
  /** Clusters with metadata, which is kept up to date; absent for a new image. */
  readonly metadata?: MetadataRanges | undefined;
  /** The references to each cluster when the image was opened; absent for a new image. */
  readonly references?: RefcountMap | undefined;
  /**
   * Is called when the moved table is on stable storage: the header must name it before the `old` locations are freed.
   */
  onTableMoved(old: readonly RefcountTableLocation[]): Promise<void>;
}

/** Returns the allocator of an image. */
export function allocatorOf(setup: AllocatorSetup): Allocator {
  const { storage, clusterSize, refcountOrder: order, isNew, metadata, references } = setup;
  /** Clusters that one block counts. */
  const perBlock = refcountsPerBlock(clusterSize, order);
  const blocks = tableCache(storage, clusterSize, setup.cacheBytes);
  let table = setup.table;
  let { tableLocation, end } = setup;
  /** No cluster below this one is free. */
  let firstFree = 0;
  /** Former locations of the table, which {@linkcode flush} releases. */
  let oldTables: RefcountTableLocation[] = [];
  let dirtyFrom = Infinity;
  let dirtyTo = 0;

  function blockOffset(cluster: number): number {
    return table[Math.floor(cluster / perBlock)] ?? 0;
  }

  async function update(cluster: number, by: 1 | -1): Promise<number> {
    const fileOffset = blockOffset(cluster);
    if (fileOffset === 0) throw uncounted(cluster);
    return await blocks.look(fileOffset, ({ bytes }) => {
      const count = refcountAt(bytes, order, cluster % perBlock);
      if (count === 0) throw uncounted(cluster);
      setRefcount(bytes, order, cluster % perBlock, count + by);
      blocks.markDirty(fileOffset);
      return count + by;
    });
  }

  function uncounted(cluster: number): ImageError {
    return corrupt(
      `Cannot change the refcount of cluster ${cluster} of "${storage.label}": it is in use, but its refcount is 0; ` +
        REPAIR_FIRST,
      storage.label,
      cluster * clusterSize,
    );
  }

  function setBlock(index: number, fileOffset: number): void {
    table[index] = fileOffset;
    metadata?.add(fileOffset / clusterSize, 1, "a refcount block");
    dirtyFrom = Math.min(dirtyFrom, index);
    dirtyTo = Math.max(dirtyTo, index + 1);
  }

  /** Refuses to allocate clusters with metadata or guest data, whose refcount of 0 is wrong. */
  function refuseUsedClusters(from: number, to: number): void {
    if (metadata === undefined) return;
    for (let cluster = from; cluster < to; cluster++) {
      if (metadata.at(cluster) !== null || references?.get(cluster)) throw uncounted(cluster);
    }
  }

  /** Allocates free clusters from `firstFree` on that existing blocks count. Returns null if there are none. */
  async function findFree(count: number): Promise<Clusters | null> {
    while (firstFree < end) {
      const index = Math.floor(firstFree / perBlock);
      const fileOffset = table[index] ?? 0;
      if (fileOffset !== 0) {
        const found = await blocks.look(fileOffset, ({ bytes }) => allocateFree(bytes, index, count));
        if (found !== null) {
          blocks.markDirty(fileOffset);
          firstFree = found.first + found.count;
          return found;
        }
      }
      firstFree = (index + 1) * perBlock;
    }
    return null;
  }

  /** Allocates free clusters from `firstFree` on that `block`, the one at `index`, counts. */
  function allocateFree(block: Uint8Array, index: number, count: number): Clusters | null {
    const limit = Math.min(perBlock, end - index * perBlock);
    let from = firstFree - index * perBlock;
    while (from < limit && refcountAt(block, order, from) !== 0) from++;
    let to = from;
    while (to < limit && to - from < count && refcountAt(block, order, to) === 0) to++;
    if (to === from) return null;
    refuseUsedClusters(index * perBlock + from, index * perBlock + to);
    fillOnes(block, order, from, to);
    return { first: index * perBlock + from, count: to - from, atEnd: false };
  }

  /**
   * Extends the table in memory up to block `index`. Returns the number of clusters that it needs at a new location, 0
   * if it fits.
   */
  function growTable(index: number): number {
    if (index < table.length) return 0;
    const perCluster = clusterSize / 8;
    const maxEntries = REFCOUNT_TABLE_BYTES_MAX / 8;
    // Grows by half, so that a growing image seldom moves its table.
    const entries = Math.min(maxEntries, alignUp(Math.max(index + 2, Math.ceil(table.length * 1.5)), perCluster));
    if (index >= entries) {
      throw new ImageError(
        "unsupported",
        `Cannot make "${storage.label}" larger: its refcount table would be longer than ${REFCOUNT_TABLE_BYTES_MAX} ` +
          "bytes; use larger clusters or fewer refcount bits",
        { path: storage.label },
      );
    }
    const longer = new Float64Array(entries);
    longer.set(table);
    table = longer;
    return entries / perCluster;
  }

  /**
   * Computes new clusters `[first, last)`: `count` of them, followed by the missing refcount blocks that count them
   * all.
   */
  function layout(first: number, count: number): { last: number; present: number[]; missing: number[] } {
    let last = first + count;
    const present: number[] = [];
    const missing: number[] = [];
    for (let index = Math.floor(first / perBlock); index * perBlock < last; index++) {
      if ((table[index] ?? 0) !== 0) {
        present.push(index);
      } else {
        // A new block lies after the clusters that it counts, and may count itself.
        missing.push(index);
        last++;
      }
    }
    return { last, present, missing };
  }

  /**
   * Returns the last cluster of `[first, last)` with a refcount above 0, or -1. An existing image may count clusters
   * past the end of its file.
   */
  async function lastCounted(first: number, last: number, present: readonly number[]): Promise<number> {
    for (const index of present.toReversed()) {
      const from = Math.max(first, index * perBlock);
      let cluster = Math.min(last, (index + 1) * perBlock) - 1;
      await blocks.look(table[index]!, ({ bytes }) => {
        while (cluster >= from && refcountAt(bytes, order, cluster % perBlock) === 0) cluster--;
      });
      if (cluster >= from) return cluster;
    }
    return -1;
  }

  async function allocateAtEnd(count: number): Promise<number> {
    let first = end;
    let { last, present, missing } = layout(first, count);
    while (!isNew) {
      const counted = await lastCounted(first, last, present);
      if (counted < 0) break;
      first = counted + 1;
      ({ last, present, missing } = layout(first, count));
    }
    if (!isNew) refuseUsedClusters(first, last);
    const tableClusters = growTable(Math.floor((last - 1) / perBlock));
    end = last;
    const fill = (block: Uint8Array, index: number) => {
      const from = Math.max(first, index * perBlock) - index * perBlock;
      fillOnes(block, order, from, Math.min(perBlock, last - index * perBlock));
    };
    // Before new blocks enter the cache, so that the block used last is not read back.
    for (const index of present) {
      const fileOffset = table[index]!;
      await blocks.look(fileOffset, ({ bytes }) => {
        fill(bytes, index);
        blocks.markDirty(fileOffset);
      });
    }
    for (const [nth, index] of missing.entries()) {
      setBlock(index, (first + count + nth) * clusterSize);
      await blocks.make((first + count + nth) * clusterSize, ({ bytes }) => fill(bytes, index));
    }
    if (tableClusters > 0) await moveTable(tableClusters);
    return first;
  }

  async function moveTable(clusters: number): Promise<void> {
    const first = await allocateAtEnd(clusters);
    metadata?.add(first, clusters, "the refcount table");
    oldTables.push(tableLocation);
    tableLocation = { fileOffset: first * clusterSize, clusters };
  }

  async function writeTable(from: number, to: number): Promise<void> {
    const bytes = new Uint8Array((to - from) * 8);
    const view = viewOf(bytes);
    for (let index = from; index < to; index++) setU64(view, (index - from) * 8, table[index]!);
    await storage.writeAt(bytes, tableLocation.fileOffset + from * 8);
  }

  async function flush(): Promise<void> {
    await blocks.flush();
    if (dirtyTo === 0 && oldTables.length === 0) return;
    if (!isNew) await storage.sync();
    if (oldTables.length > 0 || (isNew && !storage.startsZeroed)) await writeTable(0, table.length);
    else await writeTable(dirtyFrom, dirtyTo);
    dirtyFrom = Infinity;
    dirtyTo = 0;
    if (oldTables.length === 0) return;
    if (!isNew) await storage.sync();
    const old = oldTables;
    oldTables = [];
    await setup.onTableMoved(old);
  }

  return {
    get end() {
      return end;
    },
    get tableLocation() {
      return tableLocation;
    },
    maxRefcount: maxRefcount(order),
    refcount(cluster) {
      const fileOffset = blockOffset(cluster);
      return fileOffset === 0
        ? 0
        : blocks.look(fileOffset, ({ bytes }) => refcountAt(bytes, order, cluster % perBlock));
    },
    peekRefcount(cluster) {
      const fileOffset = blockOffset(cluster);
      if (fileOffset === 0) return undefined;
      return blocks.peek(fileOffset, ({ bytes }) => refcountAt(bytes, order, cluster % perBlock));
    },
    async allocate(count) {
      const found = isNew ? null : await findFree(count);
      return found ?? { first: await allocateAtEnd(count), count, atEnd: true };
    },
    async allocateAtEnd(count) {
      const first = await allocateAtEnd(count);
      // In an existing image only bitmap tables need consecutive clusters.
      metadata?.add(first, count, "a bitmap table");
      return first;
    },
    async increment(cluster) {
      await update(cluster, 1);
    },
    async decrement(cluster) {
      const count = await update(cluster, -1);
      references?.remove(cluster);
      if (count === 0) firstFree = Math.min(firstFree, cluster);
      return count;
    },
    flush,
  };
}
