/**
 * Host clusters that several L2 entries of an existing image share without refcounts that say so: a write to one guest
 * cluster would change the other.
 *
 * @module
 */
import { corrupt } from "../../errors.ts";
import { refcountMap } from "../refcounts/refcount_map.ts";
import type { Image } from "../image.ts";
import {
  compressedHostClusters,
  type Geometry,
  hostOffsetOf,
  isCompressed,
  l2TableOffset,
} from "../mapping/l2_entry.ts";
import { REPAIR_FIRST } from "../refuse_corrupt.ts";

/**
 * Refuses an image in which two L2 entries point at a host cluster with a lower refcount. Reads all L2 tables if they
 * fit the cache, so that none is read twice. In a larger image only `check` finds such clusters.
 *
 * @param cacheBytes bytes of L2 tables that the cache holds
 * @throws ImageError `corrupt`
 */
export async function checkSharedClusters(image: Image, cacheBytes: number): Promise<void> {
  const { geometry, storage, tables: { l1, cache }, allocator, header } = image;
  if (header.externalData) return;
  const offsets: number[] = [];
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    if (l2TableOffset(l1, index) !== 0) offsets.push(l2TableOffset(l1, index));
  }
  if (offsets.length * geometry.clusterSize > cacheBytes) return;
  const references = refcountMap();
  /** Clusters with a second reference; most images have none. */
  const shared: number[] = [];
  const inFile = Math.ceil(storage.size / geometry.clusterSize);
  const add = (cluster: number) => {
    // Entries that point past the end of the file are reported when they are used.
    if (cluster < inFile && references.add(cluster, 1) === 2) shared.push(cluster);
  };
  for (const fileOffset of offsets) await cache.look(fileOffset, ({ view }) => eachReferred(geometry, view, add));
  for (const cluster of shared) {
    const found = references.get(cluster);
    const count = allocator.peekRefcount(cluster) ?? await allocator.refcount(cluster);
    if (count >= found) continue;
    throw corrupt(
      `Cannot write into "${storage.label}": ${found} guest clusters have host cluster ${cluster}, but its refcount is ` +
        `${count}, so that one would be changed with the other; ${REPAIR_FIRST}`,
      storage.label,
      cluster * geometry.clusterSize,
    );
  }
}

/** Calls `add` with each host cluster that an entry of an L2 table points at. */
function eachReferred(geometry: Geometry, table: DataView, add: (cluster: number) => void): void {
  const { clusterSize, l2EntryBytes } = geometry;
  for (let at = 0; at < table.byteLength; at += l2EntryBytes) {
    const [high, low] = [table.getUint32(at), table.getUint32(at + 4)];
    if ((high | low) === 0) continue;
    if (!isCompressed(high)) {
      const host = hostOffsetOf(high, low);
      if (host !== 0) add(Math.floor(host / clusterSize));
      continue;
    }
    const { first, last } = compressedHostClusters(geometry, high, low);
    for (let cluster = first; cluster <= last; cluster++) add(cluster);
  }
}
