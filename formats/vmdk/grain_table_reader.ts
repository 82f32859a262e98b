/**
 * Reading grain tables, several with one request where they lie side by side.
 *
 * @module
 */
import { zeroes } from "../bytes.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import { lruCache } from "../shared/lru_cache.ts";
import type { Storage } from "../storage/types.ts";

/** Bytes of tables read at once. */
const CHUNK_BYTES = 64 << 10;

/** Bytes of tables held for one disk: enough for 256 GiB of it with the usual grains. */
const CACHE_BYTES = 16 << 20;

/** Grain tables, by their number in the grain directory. */
export interface TableReader {
  /** The table `index`, which lies at `place`, and the tables behind it that are known without another request. */
  get(index: number, place: number): MaybePromise<Tables>;
}

/** Tables of consecutive numbers, one after another. */
export interface Tables {
  readonly view: DataView;
  /** How many there are, from the asked one on. */
  readonly count: number;
}

/** Consecutive tables that lie side by side. */
interface Chunk {
  readonly first: number;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** What all extents of a disk hold of their tables, within one limit. */
export interface TableMemory {
  /** A number for one extent more. */
  owner(): number;
  get(owner: number, first: number): Chunk | undefined;
  set(owner: number, chunk: Chunk): void;
}

/** Creates the cache for the tables of one disk, which evicts the least recently used. */
export function tableMemory(): TableMemory {
  const chunks = lruCache(({ bytes }: Chunk) => bytes.length, CACHE_BYTES);
  let owners = 0;
  // A directory has at most 2^22 entries, and a disk 2^15 extents.
  const keyOf = (owner: number, first: number) => owner * 2 ** 23 + first;
  return {
    owner: () => owners++,
    get: (owner, first) => chunks.get(keyOf(owner, first)),
    set: (owner, chunk) => chunks.set(keyOf(owner, chunk.first), chunk),
  };
}

/** The tables of one extent. */
export interface TableShape {
  readonly tableBytes: number;
  /** How many there are. */
  readonly count: number;
  /** File offset of a table; backing zero where there is none. */
  readonly offsetOf: (index: number) => number;
}

/** A reader of the tables in `storage`. */
export function tableReader(storage: Storage, shape: TableShape, memory: TableMemory): TableReader {
  const { tableBytes, count, offsetOf } = shape;
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / tableBytes));
  const owner = memory.owner();

  /** The tables around `index` that lie side by side, within a grid of chunks. */
  function around(index: number, place: number): { readonly first: number; readonly end: number } {
    const gridStart = index - index % perChunk;
    const gridEnd = Math.min(count, gridStart + perChunk);
    const follows = (other: number) => offsetOf(other) === place + (other - index) * tableBytes;
    let [first, end] = [index, index + 1];
    while (first > gridStart && follows(first - 1)) first--;
    while (end < gridEnd && follows(end)) end++;
    return { first, end };
  }

  function from(chunk: Chunk, index: number): Tables {
    const skip = (index - chunk.first) * tableBytes;
    const { buffer, byteOffset, length } = chunk.bytes;
    return { view: new DataView(buffer, byteOffset + skip, length - skip), count: chunk.count - (index - chunk.first) };
  }

  async function load(index: number, place: number, first: number, end: number): Promise<Tables> {
    const chunk = {
      first,
      count: end - first,
      bytes: await bytesAt(place - (index - first) * tableBytes, end - first),
    };
    memory.set(owner, chunk);
    return from(chunk, index);
  }

  async function bytesAt(fileOffset: number, tables: number): Promise<Uint8Array> {
    const length = tables * tableBytes;
    // A large empty disk has gigabytes of tables that were never written.
    const found = await storage.holeAt?.(fileOffset, fileOffset + length);
    if (found?.hole && found.end >= fileOffset + length && length <= CHUNK_BYTES) return zeroes(length);
    const bytes = new Uint8Array(length);
    await storage.readAt(bytes, fileOffset);
    return bytes;
  }

  return {
    get(index, place) {
      const { first, end } = around(index, place);
      const chunk = memory.get(owner, first);
      return chunk === undefined ? load(index, place, first, end) : from(chunk, index);
    },
  };
}
