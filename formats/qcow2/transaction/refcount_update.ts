/**
 * The refcounts of a transaction: on-disk blocks, and copies of those that change.
 *
 * @module
 */
import { ImageError } from "../../errors.ts";
import type { CheckContext } from "../../maintenance.ts";
import type { Storage } from "../../storage/types.ts";
import type { Header } from "../header/header.ts";
import { maxRefcount, refcountAt, refcountsPerBlock, setRefcount } from "../refcounts/refcount_block.ts";
import type { OnDiskRefcounts } from "../refcounts/on_disk_refcounts.ts";
import { corruptImage } from "../refuse_corrupt.ts";

/** Replacements of the on-disk refcounts. */
export interface RefcountSource {
  /** Refcounts of all clusters but those of the refcount structure, in place of the on-disk ones. */
  readonly refcounts?: { get(cluster: number): number; skipTo(cluster: number): number };
  /** Another refcount order, as in the header. */
  readonly refcountOrder?: number;
}

/** Refcounts that change. Clusters are numbered from the start of the file. */
export interface RefcountUpdate {
  /** Whether all blocks are rebuilt. */
  readonly rebuilds: boolean;
  /** The refcount order, as in the header. */
  readonly order: number;
  /** Clusters that one block counts. */
  readonly clustersPerBlock: number;
  /** The changed blocks, by index. */
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  /** Clusters whose refcount became 0, at least temporarily. */
  readonly freed: readonly number[];
  /** Returns the refcount of `cluster` after the transaction. */
  refcount(cluster: number): Promise<number> | number;
  /**
   * Adds `by` to the refcount of `cluster`, which must be at least `minBefore` before. Returns nothing if its block was
   * in memory.
   */
  adjust(cluster: number, by: number, minBefore?: number): Promise<void> | void;
  /**
   * Returns the first of `count` consecutive clusters of the file that are free before and after the transaction; -1
   * for none.
   */
  findFree(count: number): Promise<number>;
  /**
   * Returns the first of `count` consecutive clusters at or after `end` with the refcount 0. Refcounts may exist for
   * clusters far past the end of the file, even because of a single damaged entry; such clusters are not allocated.
   */
  findPastEnd(end: number, count: number): Promise<number>;
}

/** Begins a change of the refcounts `onDisk`, or of those in `source`. */
export async function refcountUpdate(
  storage: Storage,
  header: Header,
  onDisk: OnDiskRefcounts,
  source: RefcountSource,
  context: CheckContext,
): Promise<RefcountUpdate> {
  const { clusterSize } = header;
  const order = source.refcountOrder ?? header.refcountOrder;
  const clustersPerBlock = refcountsPerBlock(clusterSize, order);
  const rebuilds = source.refcounts !== undefined || order !== header.refcountOrder;
  const blocks = new Map<number, Uint8Array>();
  const freed: number[] = [];
  const oldEnd = Math.ceil(storage.size / clusterSize);
  /** No cluster below this one is free. */
  let firstFree = 0;
  /** The file has no such number of consecutive free clusters. A transaction does not free any before its end. */
  let unavailableCount = Infinity;

  if (rebuilds) await copyAll();

  /** Copies all refcounts into new blocks. */
  async function copyAll(): Promise<void> {
    const { refcounts } = source;
    if (refcounts !== undefined) {
      for (let cluster = refcounts.skipTo(0); cluster !== Infinity; cluster = refcounts.skipTo(cluster + 1)) {
        copyCount(cluster, refcounts.get(cluster));
        if (cluster % 65536 === 0) await context.checkpoint();
      }
      return;
    }
    for (const { index } of onDisk.blocks) {
      for (let nth = 0; nth < onDisk.clustersPerBlock; nth++) {
        const cluster = index * onDisk.clustersPerBlock + nth;
        copyCount(cluster, onDisk.peek(cluster) ?? await onDisk.get(cluster));
      }
      await context.checkpoint(Math.min(1, index * onDisk.clustersPerBlock / oldEnd));
    }
  }

  function copyCount(cluster: number, count: number): void {
    if (count === 0) return;
    if (count > maxRefcount(order)) throw tooMany(cluster);
    let block = blocks.get(Math.floor(cluster / clustersPerBlock));
    if (block === undefined) blocks.set(Math.floor(cluster / clustersPerBlock), block = new Uint8Array(clusterSize));
    setRefcount(block, order, cluster % clustersPerBlock, count);
  }

  function tooMany(cluster: number): ImageError {
    const message = `Cannot change "${storage.label}": cluster ${cluster} would have more references than its ` +
      `refcounts of ${2 ** order} bits can count`;
    return new ImageError("unsupported", message, { path: storage.label });
  }

  function refcount(cluster: number): Promise<number> | number {
    const block = blocks.get(Math.floor(cluster / clustersPerBlock));
    if (block !== undefined) return refcountAt(block, order, cluster % clustersPerBlock);
    return rebuilds ? 0 : onDisk.peek(cluster) ?? onDisk.get(cluster);
  }

  function adjust(cluster: number, by: number, minBefore = 0): Promise<void> | void {
    const block = blocks.get(Math.floor(cluster / clustersPerBlock));
    if (block !== undefined) return change(block, cluster, by, minBefore);
    return load(Math.floor(cluster / clustersPerBlock)).then((loaded) => change(loaded, cluster, by, minBefore));
  }

  async function load(index: number): Promise<Uint8Array> {
    const old = rebuilds ? null : await onDisk.blockAt(index);
    const block = blocks.get(index) ?? old?.slice() ?? new Uint8Array(clusterSize);
    blocks.set(index, block);
    return block;
  }

  function change(block: Uint8Array, cluster: number, by: number, minBefore: number): void {
    const before = refcountAt(block, order, cluster % clustersPerBlock);
    const count = before + by;
    if (count < 0 || before < minBefore) {
      throw corruptImage(storage, `the refcount of cluster ${cluster} is ${before}, too low`, cluster * clusterSize);
    }
    if (count > maxRefcount(order)) throw tooMany(cluster);
    setRefcount(block, order, cluster % clustersPerBlock, count);
    if (count === 0) freed.push(cluster);
  }

  async function findFree(count: number): Promise<number> {
    if (rebuilds || count >= unavailableCount) return -1;
    let length = 0;
    for (let index = Math.floor(firstFree / clustersPerBlock); index * clustersPerBlock < oldEnd; index++) {
      const before = await onDisk.blockAt(index);
      const after = blocks.get(index);
      // Without a block, the clusters of the file were never allocated; they stay unused.
      if (before === null) {
        length = 0;
        continue;
      }
      const from = Math.max(0, firstFree - index * clustersPerBlock);
      const to = Math.min(clustersPerBlock, oldEnd - index * clustersPerBlock);
      for (let nth = from; nth < to; nth++) {
        const free = refcountAt(before, order, nth) === 0 &&
          (after === undefined || refcountAt(after, order, nth) === 0);
        length = free ? length + 1 : 0;
        if (length < count) continue;
        const first = index * clustersPerBlock + nth + 1 - count;
        if (count === 1) firstFree = first + 1;
        return first;
      }
    }
    unavailableCount = count;
    return -1;
  }

  async function findPastEnd(end: number, count: number): Promise<number> {
    let first = end;
    for (let index = Math.floor(first / clustersPerBlock); index * clustersPerBlock < first + count; index++) {
      const block = blocks.get(index) ?? (rebuilds ? null : await onDisk.blockAt(index));
      const from = Math.max(first, index * clustersPerBlock);
      let cluster = Math.min(first + count, (index + 1) * clustersPerBlock) - 1;
      while (block !== null && cluster >= from && refcountAt(block, order, cluster % clustersPerBlock) === 0) cluster--;
      if (block === null || cluster < from) continue;
      first = cluster + 1;
      index = Math.floor(first / clustersPerBlock) - 1;
    }
    return first;
  }

  return { rebuilds, order, clustersPerBlock, blocks, freed, refcount, adjust, findFree, findPastEnd };
}
