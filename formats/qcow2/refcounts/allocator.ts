/**
 * Refcounts and the allocation of host clusters (specification, "Host cluster management").
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
import { REPAIR_FIRST } from "../refuse_corrupt.ts";

/** Where the refcount table lies. */
export type RefcountTableLocation = Header["refcountTable"];

/** Host clusters `[first, first + count)`, counted from the start of the file. */
export interface Clusters {
  readonly first: number;
  readonly count: number;
  /** Whether they were never given out before: they lie past everything else. */
  readonly atEnd: boolean;
}

/** The refcounts of one image, and who gives out its clusters. Clusters are numbered from the start of the file. */
export interface Allocator {
  /** The cluster after the last one in use. */
  readonly end: number;
  /** Greatest count of a cluster. */
  readonly maxRefcount: number;
  /** Where the refcount table is to lie after {@linkcode flush}. */
  readonly tableLocation: RefcountTableLocation;
  /** The count of `cluster`. */
  refcount(cluster: number): MaybePromise<number>;
  /** The count of `cluster`, if it is known without waiting. */
  peekRefcount(cluster: number): number | undefined;
  /**
   * Gives out 1 to `count` neighbouring clusters, with count one: free ones where there are some, else new ones.
   *
   * @throws ImageError `unsupported` where the refcount table would outgrow its limit.
   */
  allocate(count: number): Promise<Clusters>;
  /** Gives out exactly `count` neighbouring clusters, past everything else. Returns the first. */
  allocateAtEnd(count: number): Promise<number>;
  /** Adds one reference. The caller has seen that there is room for it. */
  increment(cluster: number): Promise<void>;
  /** Takes one reference away; returns what is left. */
  decrement(cluster: number): Promise<number>;
  /** Writes blocks, then the table. */
  flush(): Promise<void>;
}

/** How the refcounts of an image are kept. */
export interface AllocatorSetup {
  readonly storage: WritableStorage;
  readonly clusterSize: number;
  readonly refcountOrder: number;
  readonly tableLocation: RefcountTableLocation;
  /** The refcount table as file offsets of blocks, 0 for none; its length is what fits `place`. */
  readonly table: Float64Array;
  /** A new image: freed clusters are not used again, so nothing ever has to be read back; the order of writes is free. */
  readonly isNew: boolean;
  /** Bytes of refcount blocks to hold. */
  readonly cacheBytes: number;
  /** The cluster after the last one in use that the file has. */
  readonly end: number;
  /** Where tables lie, which is kept up to date; absent for a new image. */
  readonly metadata?: MetadataRanges | undefined;
  /** Called when the moved table is on stable storage, to make it known; its `old` places may then be freed. */
  onTableMoved(old: readonly RefcountTableLocation[]): Promise<void>;
}

/** The refcounts as `setup` describes them. */
export function allocatorOf(setup: AllocatorSetup): Allocator {
  const { storage, clusterSize, refcountOrder: order, isNew, metadata } = setup;
  /** Clusters that one block counts. */
  const perBlock = refcountsPerBlock(clusterSize, order);
  const blocks = tableCache(storage, clusterSize, setup.cacheBytes);
  let table = setup.table;
  let { tableLocation, end } = setup;
  /** No cluster below is free. */
  let firstFree = 0;
  /** Former places of the table, which {@linkcode flush} gives up. */
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

  /** Tables must never be given out, whatever a damaged image says of them. */
  function refuseMetadataClusters(from: number, to: number): void {
    if (metadata === undefined) return;
    for (let cluster = from; cluster < to; cluster++) if (metadata.at(cluster) !== null) throw uncounted(cluster);
  }

  /** Free clusters at or after `hint`, as far as blocks exist: null if there are none. */
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

  /** Free clusters at or after `hint` that `block`, the one at `index`, counts, now with count one. */
  function allocateFree(block: Uint8Array, index: number, count: number): Clusters | null {
    const limit = Math.min(perBlock, end - index * perBlock);
    let from = firstFree - index * perBlock;
    while (from < limit && refcountAt(block, order, from) !== 0) from++;
    let to = from;
    while (to < limit && to - from < count && refcountAt(block, order, to) === 0) to++;
    if (to === from) return null;
    refuseMetadataClusters(index * perBlock + from, index * perBlock + to);
    fillOnes(block, order, from, to);
    return { first: index * perBlock + from, count: to - from, atEnd: false };
  }

  /** Makes the table long enough for block `index`; returns how many clusters it needs elsewhere, 0 if it fits. */
  function growTable(index: number): number {
    if (index < table.length) return 0;
    const perCluster = clusterSize / 8;
    const maxEntries = REFCOUNT_TABLE_BYTES_MAX / 8;
    // Half as much again, so that an image that grows and grows seldom moves its table.
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

  /** New clusters `[first, last)`: `count` of them, and behind these the blocks that are missing to count them all. */
  function layout(first: number, count: number): { last: number; present: number[]; missing: number[] } {
    let last = first + count;
    const present: number[] = [];
    const missing: number[] = [];
    for (let index = Math.floor(first / perBlock); index * perBlock < last; index++) {
      if ((table[index] ?? 0) !== 0) {
        present.push(index);
      } else {
        // A new block lies behind what it counts, and may count itself.
        missing.push(index);
        last++;
      }
    }
    return { last, present, missing };
  }

  /** The last cluster of `[first, last)` with a count, or -1: an old image may count what its file does not reach. */
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
    const tableClusters = growTable(Math.floor((last - 1) / perBlock));
    end = last;
    const fill = (block: Uint8Array, index: number) => {
      const from = Math.max(first, index * perBlock) - index * perBlock;
      fillOnes(block, order, from, Math.min(perBlock, last - index * perBlock));
    };
    // Before new blocks come into the cache, so that the block used last need not be read back.
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
      // Of an old image, bitmaps alone ask for neighbours: for their tables.
      metadata?.add(first, count, "a bitmap table");
      return first;
    },
    async increment(cluster) {
      await update(cluster, 1);
    },
    async decrement(cluster) {
      const count = await update(cluster, -1);
      if (count === 0) firstFree = Math.min(firstFree, cluster);
      return count;
    },
    flush,
  };
}
