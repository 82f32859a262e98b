/**
 * Reading grain tables, several with one request where they lie side by side.
 *
 * @module
 */
import type { Storage } from "../storage/types.ts";

/** Bytes of tables read at once. */
const CHUNK_BYTES = 64 << 10;

/** Bytes of tables held: enough for 256 GiB of disk with the usual grains. */
const CACHE_BYTES = 16 << 20;

/** Grain tables, by their number in the grain directory. */
export interface TableReader {
  /** The table `index`, which lies at `place`, and the tables that lie behind it and are known without another request. */
  get(index: number, place: number): Tables | Promise<Tables>;
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

/**
 * A reader of tables of `tableBytes` each.
 *
 * @param placeOf file offset of a table; below zero where there is none
 * @param count how many tables there are
 */
export function tableReader(
  storage: Storage,
  tableBytes: number,
  count: number,
  placeOf: (index: number) => number,
): TableReader {
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / tableBytes));
  const most = Math.floor(CACHE_BYTES / (perChunk * tableBytes));
  // A Map keeps the order of insertion: the first is the one that was not used for the longest time.
  const chunks = new Map<number, Chunk>();
  let last: Chunk | undefined;

  /** The tables around `index` that lie side by side, within a grid of chunks. */
  function around(index: number, place: number): { readonly first: number; readonly end: number } {
    const gridStart = index - index % perChunk;
    const gridEnd = Math.min(count, gridStart + perChunk);
    const follows = (other: number) => placeOf(other) === place + (other - index) * tableBytes;
    let [first, end] = [index, index + 1];
    while (first > gridStart && follows(first - 1)) first--;
    while (end < gridEnd && follows(end)) end++;
    return { first, end };
  }

  function from(chunk: Chunk, index: number): Tables {
    last = chunk;
    const skip = (index - chunk.first) * tableBytes;
    const { buffer, byteOffset, length } = chunk.bytes;
    const view = new DataView(buffer, byteOffset + skip, length - skip);
    return { view, count: chunk.count - (index - chunk.first) };
  }

  async function load(index: number, place: number, first: number, end: number): Promise<Tables> {
    const bytes = new Uint8Array((end - first) * tableBytes);
    await storage.readAt(bytes, place - (index - first) * tableBytes);
    const chunk = { first, count: end - first, bytes };
    chunks.set(first, chunk);
    const [oldest] = chunks.keys();
    if (chunks.size > most) chunks.delete(oldest);
    return from(chunk, index);
  }

  return {
    get(index, place) {
      if (last && index >= last.first && index < last.first + last.count) return from(last, index);
      const { first, end } = around(index, place);
      const chunk = chunks.get(first);
      if (chunk === undefined) return load(index, place, first, end);
      chunks.delete(first);
      chunks.set(first, chunk);
      return from(chunk, index);
    },
  };
}
