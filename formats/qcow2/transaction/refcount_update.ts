/**
 * The refcounts of an image within a change: as they were, and as they will be.
 *
 * @module
 */
import { ImageError } from "../../errors.ts";
import type { CheckContext } from "../../maintenance.ts";
import type { Storage } from "../../storage/types.ts";
import type { Header } from "../header/header.ts";
import { countAt, greatestCount, setCount } from "../refcounts/refcount_block.ts";
import type { StoredCounts } from "../refcounts/on_disk_refcounts.ts";
import { mustRepair } from "../refuse_corrupt.ts";

/** From where refcounts come, if not from the image as they are. */
export interface CountsSource {
  /** All counts, which replace those that the image states; of the refcount structure itself none. */
  readonly counts?: { get(cluster: number): number; skipTo(cluster: number): number };
  /** Another width of refcounts, as in the header. */
  readonly order?: number;
}

/** Refcounts that change. Clusters are numbered from the start of the file. */
export interface RenewedCounts {
  /** Whether all blocks are made anew. */
  readonly anew: boolean;
  /** Their width, as in the header. */
  readonly order: number;
  /** Clusters that one block counts. */
  readonly reach: number;
  /** The blocks that change, as they will be. */
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  /** Clusters whose count has become 0, at least for a while. */
  readonly freed: readonly number[];
  /** The refcount of `cluster` after the change. */
  get(cluster: number): Promise<number> | number;
  /** Adds `by` to the refcount of `cluster`, which must be `least` before. Returns nothing where that needed no waiting. */
  add(cluster: number, by: number, least?: number): Promise<void> | void;
  /** The first of `count` neighbours in the file that are free before and after the change; -1 for none. */
  findFree(count: number): Promise<number>;
  /**
   * The first of `count` neighbours at or after `end` that nobody has. Refcounts may go further than the file, even by a
   * damaged entry that makes an odd block count the far end of nowhere: what they count is left alone.
   */
  findRoom(end: number, count: number): Promise<number>;
}

/** The refcounts `stored` in an image with this header, or those of `source`, to be changed. */
export async function renewedCounts(
  storage: Storage,
  header: Header,
  stored: StoredCounts,
  source: CountsSource,
  context: CheckContext,
): Promise<RenewedCounts> {
  const { clusterSize } = header;
  const order = source.order ?? header.refcountOrder;
  const reach = clusterSize * 8 / 2 ** order;
  const anew = source.counts !== undefined || order !== header.refcountOrder;
  const blocks = new Map<number, Uint8Array>();
  const freed: number[] = [];
  const oldEnd = Math.ceil(storage.size / clusterSize);
  /** No single cluster below is free. */
  let hint = 0;
  /** So many free neighbours are nowhere; within a change none become free. */
  let scarce = Infinity;

  if (anew) await takeOver();

  /** Copies all counts into new blocks. */
  async function takeOver(): Promise<void> {
    const { counts } = source;
    if (counts !== undefined) {
      for (let cluster = counts.skipTo(0); cluster !== Infinity; cluster = counts.skipTo(cluster + 1)) {
        copyCount(cluster, counts.get(cluster));
        if (cluster % 65536 === 0) await context.checkpoint();
      }
      return;
    }
    for (const { index } of stored.blocks) {
      for (let nth = 0; nth < stored.reach; nth++) {
        const cluster = index * stored.reach + nth;
        copyCount(cluster, stored.peek(cluster) ?? await stored.get(cluster));
      }
      await context.checkpoint(Math.min(1, index * stored.reach / oldEnd));
    }
  }

  function copyCount(cluster: number, count: number): void {
    if (count === 0) return;
    if (count > greatestCount(order)) throw tooMany(cluster);
    let block = blocks.get(Math.floor(cluster / reach));
    if (block === undefined) blocks.set(Math.floor(cluster / reach), block = new Uint8Array(clusterSize));
    setCount(block, order, cluster % reach, count);
  }

  function tooMany(cluster: number): ImageError {
    const message = `Cannot change "${storage.label}": cluster ${cluster} would have more references than its ` +
      `refcounts of ${2 ** order} bits can count`;
    return new ImageError("unsupported", message, { path: storage.label });
  }

  function get(cluster: number): Promise<number> | number {
    const block = blocks.get(Math.floor(cluster / reach));
    if (block !== undefined) return countAt(block, order, cluster % reach);
    return anew ? 0 : stored.peek(cluster) ?? stored.get(cluster);
  }

  function add(cluster: number, by: number, least = 0): Promise<void> | void {
    const block = blocks.get(Math.floor(cluster / reach));
    if (block !== undefined) return change(block, cluster, by, least);
    return load(Math.floor(cluster / reach)).then((loaded) => change(loaded, cluster, by, least));
  }

  async function load(index: number): Promise<Uint8Array> {
    const old = anew ? null : await stored.blockAt(index);
    const block = blocks.get(index) ?? old?.slice() ?? new Uint8Array(clusterSize);
    blocks.set(index, block);
    return block;
  }

  function change(block: Uint8Array, cluster: number, by: number, least: number): void {
    const before = countAt(block, order, cluster % reach);
    const count = before + by;
    if (count < 0 || before < least) {
      throw mustRepair(storage, `the refcount of cluster ${cluster} is ${before}, too low`, cluster * clusterSize);
    }
    if (count > greatestCount(order)) throw tooMany(cluster);
    setCount(block, order, cluster % reach, count);
    if (count === 0) freed.push(cluster);
  }

  async function findFree(count: number): Promise<number> {
    if (anew || count >= scarce) return -1;
    let length = 0;
    for (let index = Math.floor(hint / reach); index * reach < oldEnd; index++) {
      const before = await stored.blockAt(index);
      const after = blocks.get(index);
      // Where there is no block, the file has clusters that nobody gave out; they are left alone.
      if (before === null) {
        length = 0;
        continue;
      }
      const from = Math.max(0, hint - index * reach);
      const to = Math.min(reach, oldEnd - index * reach);
      for (let nth = from; nth < to; nth++) {
        const free = countAt(before, order, nth) === 0 && (after === undefined || countAt(after, order, nth) === 0);
        length = free ? length + 1 : 0;
        if (length < count) continue;
        const first = index * reach + nth + 1 - count;
        if (count === 1) hint = first + 1;
        return first;
      }
    }
    scarce = count;
    return -1;
  }

  async function findRoom(end: number, count: number): Promise<number> {
    let first = end;
    for (let index = Math.floor(first / reach); index * reach < first + count; index++) {
      const block = blocks.get(index) ?? (anew ? null : await stored.blockAt(index));
      const from = Math.max(first, index * reach);
      let cluster = Math.min(first + count, (index + 1) * reach) - 1;
      while (block !== null && cluster >= from && countAt(block, order, cluster % reach) === 0) cluster--;
      if (block === null || cluster < from) continue;
      first = cluster + 1;
      index = Math.floor(first / reach) - 1;
    }
    return first;
  }

  return { anew, order, reach, blocks, freed, get, add, findFree, findRoom };
}
