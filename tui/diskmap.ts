/**
 * The disk as a map: which bytes are in which state, at a resolution that does not depend on the disk's size.
 *
 * @module
 */

/** What counts are kept of. The first four are what became of a byte; the last two come on top of that. */
export const COUNTED = ["data", "compressed", "zero", "backing", "verified", "error"] as const;
/** One of {@linkcode COUNTED}. */
export type Counted = typeof COUNTED[number];
const KINDS = COUNTED.length;

/** State of one cell. */
export type CellState = Counted | "todo" | "flight";

/** The letter of each state: colour is never the only sign. */
export const LETTERS: { readonly [state in CellState]: string } = {
  todo: ".",
  data: "D",
  compressed: "P",
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

/** Counts of bytes for stretches of equal length. */
export interface DiskMap {
  /** Guest bytes. */
  readonly size: number;
  /** Bytes of one bucket, a power of two. */
  readonly bucket: number;
  /** For each bucket its bytes by {@linkcode COUNTED}. */
  readonly counts: Float64Array;
}

/** Fine enough to zoom in, and few enough to be copied and summed up for every frame. */
const MOST_BUCKETS = 4096;

/** A disk of which nothing is done yet. */
export function emptyMap(size: number): DiskMap {
  let bucket = 512;
  while (Math.ceil(size / bucket) > MOST_BUCKETS) bucket *= 2;
  return { size, bucket, counts: new Float64Array(Math.ceil(size / bucket) * KINDS) };
}

/** A map of its own with the same counts. */
export function copyOf(map: DiskMap): DiskMap {
  return { ...map, counts: map.counts.slice() };
}

/**
 * Counts a range, in place: for a map that its caller has just made with {@linkcode copyOf}.
 *
 * @param share how much of the range is in that state, from 0 to 1
 */
export function mark(map: DiskMap, state: Counted, { start, end }: Range, share = 1): void {
  if (share <= 0) return;
  const kind = COUNTED.indexOf(state);
  const { bucket, counts } = map;
  const stop = Math.min(end, map.size);
  for (let at = start; at < stop;) {
    const index = Math.floor(at / bucket);
    const next = Math.min((index + 1) * bucket, stop);
    counts[index * KINDS + kind] += (next - at) * share;
    at = next;
  }
}

/** The states of `count` cells that share the bytes of `range` evenly. */
export function cellsOf(map: DiskMap, range: Range, count: number, inFlight: readonly Range[]): CellState[] {
  const first = Math.floor(range.start / map.bucket);
  const buckets = Math.max(1, Math.ceil(range.end / map.bucket) - first);
  const cells = Array.from({ length: count }, (_, cell) => {
    const from = Math.floor(cell * buckets / count);
    const to = Math.max(from + 1, Math.floor((cell + 1) * buckets / count));
    return cellState(map, first + from, first + to);
  });
  for (const piece of inFlight) {
    const from = Math.floor((Math.floor(piece.start / map.bucket) - first) * count / buckets);
    const to = Math.ceil((Math.floor((piece.end - 1) / map.bucket) + 1 - first) * count / buckets);
    for (let cell = Math.max(0, from); cell < Math.min(count, to); cell++) {
      if (cells[cell] !== "error") cells[cell] = "flight";
    }
  }
  return cells;
}

/** What matters most in a cell: an error, then what is still to do, and what most of its bytes are. */
function cellState(map: DiskMap, from: number, to: number): CellState {
  const { counts } = map;
  let [data, compressed, zero, backing, verified, error] = [0, 0, 0, 0, 0, 0];
  // Once for every bucket and frame: plain sums, in the order of COUNTED.
  for (let at = from * KINDS; at < to * KINDS; at += KINDS) {
    data += counts[at];
    compressed += counts[at + 1];
    zero += counts[at + 2];
    backing += counts[at + 3];
    verified += counts[at + 4];
    error += counts[at + 5];
  }
  if (error > 0) return "error";
  const bytes = Math.min(to * map.bucket, map.size) - from * map.bucket;
  // Shares of a piece are fractions: half a byte of rounding is not work to do.
  if (data + compressed + zero + backing < bytes - 0.5) return "todo";
  if (verified >= bytes - 0.5) return "verified";
  if (data >= compressed && data >= zero && data >= backing) return "data";
  if (compressed >= zero && compressed >= backing) return "compressed";
  return zero >= backing ? "zero" : "backing";
}
