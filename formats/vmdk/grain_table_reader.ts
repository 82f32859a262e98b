/**
 * Reads grain tables into a cache; adjacent ones with one request.
 *
 * @module
 */
import { zeroes } from "../bytes.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import { lruCache } from "../shared/lru_cache.ts";
import type { Storage } from "../storage/types.ts";

/** The most bytes of adjacent tables that one request reads. */
const CHUNK_BYTES = 64 << 10;

/** Bytes of tables that are cached for one disk: enough for 256 GiB with grains of 64 KiB. */
const CACHE_BYTES = 16 << 20;

/** Grain tables by their index in the grain directory. */
export interface TableReader {
  /** Returns the table `index`, which lies at `fileOffset`, and the adjacent tables after it in the same chunk. */
  get(index: number, fileOffset: number): MaybePromise<AdjacentTables>;
}

/** The entries of consecutive tables, one table after another. */
export interface AdjacentTables {
  readonly view: DataView;
  /** The number of tables, from the requested one on. */
  readonly count: number;
}

/** Consecutive tables that are adjacent in the file. */
interface Chunk {
  readonly first: number;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** A cache of grain tables that all extent files of a disk share, with one limit. */
export interface GrainTableCache {
  /** Returns a number that identifies one more extent file. */
  owner(): number;
  get(owner: number, first: number): Chunk | undefined;
  set(owner: number, chunk: Chunk): void;
}

/** Creates the cache of the grain tables of one disk, which evicts the least recently used. */
export function grainTableCache(): GrainTableCache {
  const chunks = lruCache(({ bytes }: Chunk) => bytes.length, CACHE_BYTES);
  let owners = 0;
  // Unique: a directory has at most 2^22 entries, and a disk 2^15 extent files.
  const keyOf = (owner: number, first: number) => owner * 2 ** 23 + first;
  return {
    owner: () => owners++,
    get: (owner, first) => chunks.get(keyOf(owner, first)),
    set: (owner, chunk) => chunks.set(keyOf(owner, chunk.first), chunk),
  };
}

/** Size, number and file offsets of the tables of one extent file. */
export interface TableLayout {
  readonly tableBytes: number;
  /** The number of tables. */
  readonly count: number;
  /** Returns the file offset of a table; negative if there is none. */
  readonly offsetOf: (index: number) => number;
}

/** Creates a reader of the tables in `storage`. */
export function tableReader(storage: Storage, layout: TableLayout, cache: GrainTableCache): TableReader {
  const { tableBytes, count, offsetOf } = layout;
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / tableBytes));
  const owner = cache.owner();

  /** Returns the adjacent tables around `index`, within its cell of a grid of `perChunk` tables. */
  function adjacentTo(index: number, fileOffset: number): { readonly first: number; readonly end: number } {
    const gridStart = index - index % perChunk;
    const gridEnd = Math.min(count, gridStart + perChunk);
    const follows = (other: number) => offsetOf(other) === fileOffset + (other - index) * tableBytes;
    let [first, end] = [index, index + 1];
    while (first > gridStart && follows(first - 1)) first--;
    while (end < gridEnd && follows(end)) end++;
    return { first, end };
  }

  let latest: { readonly chunk: Chunk; readonly index: number; readonly tables: AdjacentTables } | null = null;

  function tablesFrom(chunk: Chunk, index: number): AdjacentTables {
    if (latest?.chunk !== chunk || latest.index !== index) latest = { chunk, index, tables: viewFrom(chunk, index) };
    return latest.tables;
  }

  function viewFrom(chunk: Chunk, index: number): AdjacentTables {
    const skip = (index - chunk.first) * tableBytes;
    const { buffer, byteOffset, length } = chunk.bytes;
    return { view: new DataView(buffer, byteOffset + skip, length - skip), count: chunk.count - (index - chunk.first) };
  }

  async function load(index: number, fileOffset: number, first: number, end: number): Promise<AdjacentTables> {
    const chunk = {
      first,
      count: end - first,
      bytes: await bytesAt(fileOffset - (index - first) * tableBytes, end - first),
    };
    cache.set(owner, chunk);
    return tablesFrom(chunk, index);
  }

  async function bytesAt(fileOffset: number, tables: number): Promise<Uint8Array> {
    const length = tables * tableBytes;
    // Tables that were never written are holes of the file: gigabytes for a large empty disk.
    const found = await storage.holeAt?.(fileOffset, fileOffset + length);
    if (found?.hole && found.end >= fileOffset + length && length <= CHUNK_BYTES) return zeroes(length);
    const bytes = new Uint8Array(length);
    await storage.readAt(bytes, fileOffset);
    return bytes;
  }

  return {
    get(index, fileOffset) {
      const { first, end } = adjacentTo(index, fileOffset);
      const chunk = cache.get(owner, first);
      return chunk === undefined ? load(index, fileOffset, first, end) : tablesFrom(chunk, index);
    },
  };
}
