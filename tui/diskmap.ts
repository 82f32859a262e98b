/**
 * The disk as a map: how many bytes are in which state, in a number of buckets that does not grow with the disk.
 *
 * @module
 */

/** The states that bytes are counted in. Each byte is in at most one of the first four; the last two are additional. */
export const COUNTED = ["data", "compressed", "zero", "backing", "verified", "error"] as const;
/** One of {@linkcode COUNTED}. */
export type Counted = typeof COUNTED[number];
const STATES = COUNTED.length;

/** The state of one cell. */
export type CellState = Counted | "todo" | "flight";

/** The letter of each state: colour never stands alone. */
export const LETTERS: { readonly [state in CellState]: string } = {
  todo: ".",
  data: "D",
  compressed: "C",
  zero: "z",
  backing: "b",
  flight: ">",
  verified: "V",
  error: "E",
};

/** Guest bytes `[start, end)`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Byte counts for ranges of equal length. */
export interface DiskMap {
  /** Guest bytes. */
  readonly size: number;
  /** Bytes of one bucket, a power of two. */
  readonly bucket: number;
  /**
   * Bytes by bucket and state: `counts[bucket * COUNTED.length + state]`, states in the order of {@linkcode COUNTED}.
   */
  readonly counts: Float64Array;
}

/** Most buckets: enough to zoom in, and few enough to copy and sum up for every frame. */
const MOST_BUCKETS = 4096;

/** Returns the map of a disk of which nothing is finished. */
export function emptyMap(size: number): DiskMap {
  let bucket = 512;
  while (Math.ceil(size / bucket) > MOST_BUCKETS) bucket *= 2;
  return { size, bucket, counts: new Float64Array(Math.ceil(size / bucket) * STATES) };
}

/** Returns the number of buckets. */
export function bucketCount({ counts }: DiskMap): number {
  return counts.length / STATES;
}

/** Returns a copy of a map. */
export function copyOf(map: DiskMap): DiskMap {
  return { ...map, counts: map.counts.slice() };
}

/**
 * Counts a range, in place.
 *
 * @param share the part of the range that is in that state, from 0 to 1
 */
export function mark(map: DiskMap, state: Counted, { start, end }: Range, share = 1): void {
  if (share <= 0) return;
  const column = COUNTED.indexOf(state);
  const { bucket, counts } = map;
  const stop = Math.min(end, map.size);
  for (let at = start; at < stop;) {
    const index = Math.floor(at / bucket);
    const next = Math.min((index + 1) * bucket, stop);
    counts[index * STATES + column] += (next - at) * share;
    at = next;
  }
}

/** Returns the states of `count` cells of equal length that cover `range`. */
export function cellsOf(map: DiskMap, range: Range, count: number, inFlight: readonly Range[]): CellState[] {
  const first = Math.floor(range.start / map.bucket);
  const buckets = Math.max(1, Math.ceil(range.end / map.bucket) - first);
  const cells = Array.from({ length: count }, (_, cell) => {
    const from = Math.floor(cell * buckets / count);
    const to = Math.max(from + 1, Math.floor((cell + 1) * buckets / count));
    return cellState(map, first + from, first + to);
  });
  for (const { start, end } of inFlight) {
    const from = Math.floor((Math.floor(start / map.bucket) - first) * count / buckets);
    const to = Math.ceil((Math.floor((end - 1) / map.bucket) + 1 - first) * count / buckets);
    for (let cell = Math.max(0, from); cell < Math.min(count, to); cell++) {
      if (cells[cell] !== "error") cells[cell] = "flight";
    }
  }
  return cells;
}

/** Returns the most important state of a cell: an error, then unfinished bytes, else the state of most bytes. */
function cellState(map: DiskMap, from: number, to: number): CellState {
  const { counts } = map;
  let [data, compressed, zero, backing, verified, error] = [0, 0, 0, 0, 0, 0];
  // This runs for every bucket of every frame: plain sums, in the order of COUNTED.
  for (let at = from * STATES; at < to * STATES; at += STATES) {
    data += counts[at];
    compressed += counts[at + 1];
    zero += counts[at + 2];
    backing += counts[at + 3];
    verified += counts[at + 4];
    error += counts[at + 5];
  }
  if (error > 0) return "error";
  const bytes = Math.min(to * map.bucket, map.size) - from * map.bucket;
  // Shares of a range are fractions: a rounding error below half a byte is not unfinished work.
  if (data + compressed + zero + backing < bytes - 0.5) return "todo";
  if (verified >= bytes - 0.5) return "verified";
  if (data >= compressed && data >= zero && data >= backing) return "data";
  if (compressed >= zero && compressed >= backing) return "compressed";
  return zero >= backing ? "zero" : "backing";
}
