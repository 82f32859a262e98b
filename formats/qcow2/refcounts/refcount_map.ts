/**
 * A sparse map of computed refcounts.
 *
 * @module
 */

/** Clusters of one page. Few, so that references scattered over a sparse file take little memory. */
const PAGE_CLUSTERS = 1 << 12;

/** Refcounts by cluster. Clusters without references take no memory. */
export interface RefcountMap {
  get(cluster: number): number;
  /** Adds `times` references. Returns the new refcount, which saturates at 2^32 - 1. */
  add(cluster: number, times: number): number;
  /** Removes a reference, if there is one. */
  remove(cluster: number): void;
  /** Returns the first cluster at or after `cluster` that may have references; `Infinity` if there is none. */
  skipTo(cluster: number): number;
}

/** Returns an empty map. */
export function refcountMap(): RefcountMap {
  const pages = new Map<number, Uint32Array>();
  let last = -1;
  // Consecutive references mostly fall into one page, and a comparison is faster than a look-up.
  let key = -1;
  let page: Uint32Array | undefined;
  const pageOf = (cluster: number): Uint32Array | undefined => {
    const index = Math.floor(cluster / PAGE_CLUSTERS);
    if (index !== key) [key, page] = [index, pages.get(index)];
    return page;
  };
  return {
    get: (cluster) => pageOf(cluster)?.[cluster % PAGE_CLUSTERS] ?? 0,
    add(cluster, times) {
      const present = pageOf(cluster);
      if (present === undefined) pages.set(key, page = new Uint32Array(PAGE_CLUSTERS));
      const count = Math.min(0xffff_ffff, page![cluster % PAGE_CLUSTERS]! + times);
      page![cluster % PAGE_CLUSTERS] = count;
      if (cluster > last) last = cluster;
      return count;
    },
    remove(cluster) {
      const present = pageOf(cluster);
      if (present !== undefined && present[cluster % PAGE_CLUSTERS]! > 0) present[cluster % PAGE_CLUSTERS]!--;
    },
    skipTo(cluster) {
      let at = cluster;
      while (at <= last && !pages.has(Math.floor(at / PAGE_CLUSTERS))) {
        at = (Math.floor(at / PAGE_CLUSTERS) + 1) * PAGE_CLUSTERS;
      }
      return at <= last ? at : Infinity;
    },
  };
}
