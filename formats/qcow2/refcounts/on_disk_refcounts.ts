/**
 * On-disk refcounts of an image that may be damaged (specification, "Host cluster management").
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

/** A refcount table entry that is not zero. */
export interface BlockEntry {
  readonly index: number;
  /** File offset of the entry. */
  readonly at: number;
  /** File offset of the block. */
  readonly fileOffset: number;
  /** The defect of the entry; null for a usable block. */
  readonly problem: string | null;
}

/** The on-disk refcounts of an image. */
export interface OnDiskRefcounts {
  readonly blocks: readonly BlockEntry[];
  /** Clusters that one block counts. */
  readonly clustersPerBlock: number;
  /** Entries of the refcount table. */
  readonly tableEntries: number;
  /** Reads the block at this index of the table; null where there is no usable one. */
  blockAt(index: number): Promise<Uint8Array | null>;
  get(cluster: number): Promise<number>;
  /** Returns the refcount of `cluster` if its block was the last one read. */
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

/** Returns the refcount at `index`; `Infinity` for one above 2^53 - 1. */
export function refcountOrInfinity(block: Uint8Array, order: number, index: number): number {
  try {
    return refcountAt(block, order, index);
  } catch {
    return Infinity;
  }
}

/** Decorates `storage`: its size is a multiple of the cluster size, and bytes past the end read as zeroes. */
function paddedStorage(storage: Storage, clusterSize: number): Storage {
  return {
    label: storage.label,
    size: Math.ceil(storage.size / clusterSize) * clusterSize,
    readAt: (into, fileOffset) => readPadded(storage, into, fileOffset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
