/**
 * The refcounts as an image states them (specification, "Host cluster management"), as far as they can be read.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";
import type { Storage } from "../../storage/types.ts";
import { tableCache } from "../../shared/table_cache.ts";
import type { Header } from "../header/header.ts";
import { hostOffsetOf } from "../mapping/l2_entry.ts";
import { refcountAt, refcountsPerBlock } from "./refcount_block.ts";
import { readPadded } from "../file_reads.ts";

const CACHE_BYTES = 4 << 20;

/** One entry of the refcount table that is not zero. */
export interface BlockEntry {
  readonly index: number;
  /** File offset of the entry. */
  readonly at: number;
  /** File offset of the block. */
  readonly fileOffset: number;
  /** What is wrong with the entry; null for a block that can be used. */
  readonly problem: string | null;
}

/** The refcounts of an image as it states them. */
export interface OnDiskRefcounts {
  readonly blocks: readonly BlockEntry[];
  /** Clusters that one block counts. */
  readonly clustersPerBlock: number;
  /** Entries of the refcount table. */
  readonly tableEntries: number;
  /** The block at this index of the table; null where there is none that can be used. */
  blockAt(index: number): Promise<Uint8Array | null>;
  get(cluster: number): Promise<number>;
  /** The same, where it is known without waiting. */
  peek(cluster: number): number | undefined;
}

/** Reads the refcount table of `header`. */
export async function readOnDiskRefcounts(storage: Storage, header: Header): Promise<OnDiskRefcounts> {
  const { clusterSize, refcountOrder: order, refcountTable } = header;
  const bytes = new Uint8Array(refcountTable.clusters * clusterSize);
  await readPadded(storage, bytes, refcountTable.fileOffset);
  const view = viewOf(bytes);
  const blocks: BlockEntry[] = [];
  const usable = new Map<number, number>();
  for (let at = 0; at < bytes.length; at += 8) {
    const [high, low] = [view.getUint32(at), view.getUint32(at + 4)];
    if (high === 0 && low === 0) continue;
    const fileOffset = hostOffsetOf(high, low);
    const problem = problemOf(high, low, fileOffset);
    const index = at / 8;
    blocks.push({ index, at: refcountTable.fileOffset + at, fileOffset, problem });
    if (problem === null) usable.set(index, fileOffset);
  }

  function problemOf(high: number, low: number, fileOffset: number): string | null {
    if ((high & 0xff000000) !== 0 || (low & 0x1ff) !== 0) return "has reserved bits set";
    if (fileOffset % clusterSize !== 0) return "does not point at a cluster";
    return fileOffset >= storage.size ? "points past the end of the file" : null;
  }

  const clustersPerBlock = refcountsPerBlock(clusterSize, order);
  const cache = tableCache(paddedStorage(storage, clusterSize), clusterSize, CACHE_BYTES);
  async function blockAt(index: number): Promise<Uint8Array | null> {
    const fileOffset = usable.get(index);
    return fileOffset === undefined ? null : await cache.get(fileOffset);
  }
  let last: { readonly index: number; readonly block: Uint8Array } = { index: -1, block: new Uint8Array(0) };
  return {
    blocks,
    clustersPerBlock,
    tableEntries: bytes.length / 8,
    blockAt,
    async get(cluster) {
      const index = Math.floor(cluster / clustersPerBlock);
      const block = await blockAt(index);
      if (block === null) return 0;
      last = { index, block };
      return refcountOrInfinity(block, order, cluster % clustersPerBlock);
    },
    peek: (cluster) =>
      Math.floor(cluster / clustersPerBlock) === last.index
        ? refcountOrInfinity(last.block, order, cluster % clustersPerBlock)
        : undefined,
  };
}

/** The count at `index`; `Infinity` for one that no image reaches. */
export function refcountOrInfinity(block: Uint8Array, order: number, index: number): number {
  try {
    return refcountAt(block, order, index);
  } catch {
    return Infinity;
  }
}

/** `storage` as if it ended at a cluster. */
function paddedStorage(storage: Storage, clusterSize: number): Storage {
  return {
    label: storage.label,
    size: Math.ceil(storage.size / clusterSize) * clusterSize,
    readAt: (into, fileOffset) => readPadded(storage, into, fileOffset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
