/**
 * How often host clusters are referred to, as a walk over the tables finds it.
 *
 * @module
 */

/** Clusters that one piece of the counts covers. Few, so that references scattered over a sparse file take little. */
const PIECE = 1 << 12;

/** References by cluster; what nobody refers to takes no memory. */
export interface Counts {
  get(cluster: number): number;
  /** Adds `times` references, and returns how many there are; a count ends at 2^32 - 1. */
  add(cluster: number, times: number): number;
  /** The first cluster at or after `cluster` that may be referred to; `Infinity` if there is none. */
  skipTo(cluster: number): number;
}

/** No references. */
export function emptyCounts(): Counts {
  const pieces = new Map<number, Uint32Array>();
  let last = -1;
  // References come in stretches, and a map costs more than a comparison.
  let key = -1;
  let piece: Uint32Array | undefined;
  const pieceOf = (cluster: number): Uint32Array | undefined => {
    const wanted = Math.floor(cluster / PIECE);
    if (wanted !== key) [key, piece] = [wanted, pieces.get(wanted)];
    return piece;
  };
  return {
    get: (cluster) => pieceOf(cluster)?.[cluster % PIECE] ?? 0,
    add(cluster, times) {
      const there = pieceOf(cluster);
      if (there === undefined) pieces.set(key, piece = new Uint32Array(PIECE));
      const count = Math.min(0xffff_ffff, piece![cluster % PIECE]! + times);
      piece![cluster % PIECE] = count;
      if (cluster > last) last = cluster;
      return count;
    },
    skipTo(cluster) {
      let at = cluster;
      while (at <= last && !pieces.has(Math.floor(at / PIECE))) at = (Math.floor(at / PIECE) + 1) * PIECE;
      return at <= last ? at : Infinity;
    },
  };
}
