/**
 * Writes of zeroes: the cheapest way that the version of the format allows.
 *
 * @module
 */
import { alignUp, zeroes } from "../../bytes.ts";
import { memoryContent } from "../../content.ts";
import { clusterStart, type Image, knownZero, readWithBacking } from "../image.ts";
import {
  CLUSTER,
  clusterStatus,
  hostOffsetOf,
  isCompressed,
  l1IndexOf,
  l2IndexOf,
  setEntry,
  setSubclusters,
} from "../mapping/l2_entry.ts";
import { extentAt, type L2Entry } from "../mapping/mapping.ts";
import { bitRange, checkedEntry, isAllocated, releaseEntry, writeData } from "./write_data.ts";

/** Makes the guest bytes `[start, end)` read as zeroes; any alignment, inside the disk. */
export async function writeZero(image: Image, start: number, end: number): Promise<void> {
  const { header, geometry } = image;
  if (header.rawExternalData) return await image.data.zeroAt(start, end);
  if (header.version === 2 && header.backing !== null) return await zeroByWriting(image, start, end);
  const { clusterSize } = geometry;
  const firstWhole = alignUp(start, clusterSize);
  // A cluster that the disk ends in counts as whole.
  const lastWhole = end === header.size ? alignUp(end, clusterSize) : clusterStart(image, end);
  if (firstWhole > lastWhole) return await zeroPart(image, start, end);
  if (start < firstWhole) await zeroPart(image, start, Math.min(firstWhole, end));
  await zeroClusters(image, firstWhole, lastWhole);
  if (lastWhole < end) await zeroPart(image, lastWhole, end);
}

/** Writes zeroes as data. */
async function zeroByWriting(image: Image, start: number, end: number): Promise<void> {
  for (let at = start; at < end;) {
    const piece = zeroes(end - at);
    await writeData(image, memoryContent(piece), at);
    at += piece.length;
  }
}

/** Makes whole clusters read as zeroes. */
async function zeroClusters(image: Image, start: number, end: number): Promise<void> {
  const { l2Reach, clusterSize } = image.geometry;
  for (let guest = start; guest < end;) {
    const index = l1IndexOf(image.geometry, guest);
    const tableEnd = Math.min(end, (index + 1) * l2Reach);
    if (image.header.backing !== null || image.tables.has(index)) {
      const from = guest;
      await image.tables.change(index, (table) => {
        for (let cluster = from; cluster < tableEnd; cluster += clusterSize) zeroCluster(image, table, index, cluster);
      });
      if (image.commitDue) await image.commit();
    }
    guest = tableEnd;
  }
}

/** Makes one cluster read as zeroes. */
function zeroCluster(image: Image, table: DataView, index: number, guestCluster: number): void {
  const { geometry, header } = image;
  const entry = checkedEntry(image, table, guestCluster);
  if (readsZero(image, entry)) return;
  const at = l2IndexOf(geometry, guestCluster) * geometry.l2EntryBytes;
  const keep = (image.keepsAllocations || header.externalData) && header.version === 3 && isAllocated(image, entry);
  if (!keep) releaseEntry(image, entry, guestCluster);
  const flagged = header.version === 3 && !geometry.extended;
  setEntry(table, at, keep ? hostOffsetOf(entry.high, entry.low) : 0, keep, flagged);
  if (geometry.extended) setSubclusters(table, at, 0xffffffff, 0);
  image.tables.changed(index);
}

/** Whether the entry alone makes its whole cluster read as zeroes. */
function readsZero(image: Image, entry: L2Entry): boolean {
  const { geometry, header } = image;
  switch (clusterStatus(entry.high, entry.low, geometry.extended, header.externalData)) {
    case CLUSTER.unallocated:
      return header.backing === null;
    case CLUSTER.zero:
    case CLUSTER.zeroAllocated:
      return true;
    case CLUSTER.subclusters:
      return entry.allocatedBits === 0 && (header.backing === null || entry.zeroBits === 0xffffffff) &&
        (image.keepsAllocations || !isAllocated(image, entry));
    default:
      return false;
  }
}

/** Makes a part of one cluster read as zeroes. */
async function zeroPart(image: Image, start: number, end: number): Promise<void> {
  // The backing file may be replaced later, so only entries of this layer count.
  if (await layerReadsZero(image, start, end)) return;
  const { clusterSize, extended, subclusterSize } = image.geometry;
  const cluster = clusterStart(image, start);
  if (await restIsZero(image, cluster, cluster + clusterSize, start, end)) {
    return await zeroClusters(image, cluster, cluster + clusterSize);
  }
  if (!extended || !await zeroSubclusters(image, cluster, start, end)) return await zeroByWriting(image, start, end);
  const firstWhole = Math.min(end, alignUp(start, subclusterSize));
  const lastWhole = Math.max(firstWhole, end - end % subclusterSize);
  if (start < firstWhole) await zeroByWriting(image, start, firstWhole);
  if (lastWhole < end) await zeroByWriting(image, lastWhole, end);
}

/** Whether entries of this layer alone make `[from, to)` read as zeroes. */
async function layerReadsZero(image: Image, from: number, to: number): Promise<boolean> {
  for (let at = from; at < to;) {
    const extent = await extentAt(image.mapping, at, to);
    if (extent.kind === "data" || (extent.kind === "hole" && image.header.backing !== null)) return false;
    at = extent.end;
  }
  return true;
}

/** Whether `[from, to)` outside `[start, end)` reads as zeroes. A new image is never read back for that. */
async function restIsZero(image: Image, from: number, to: number, start: number, end: number): Promise<boolean> {
  return await isZero(image, from, start) && await isZero(image, end, Math.min(to, image.header.size));
}

async function isZero(image: Image, from: number, to: number): Promise<boolean> {
  if (from >= to || await knownZero(image, from, to)) return true;
  if (image.isNew && await holdsData(image, from)) return false;
  const bytes = new Uint8Array(to - from);
  await readWithBacking(image, bytes, from);
  return bytes.every((byte) => byte === 0);
}

/** Whether this layer has data in the cluster of `guest`. */
async function holdsData(image: Image, guest: number): Promise<boolean> {
  const index = l1IndexOf(image.geometry, guest);
  if (!image.tables.has(index)) return false;
  return await image.tables.change(index, (table) => {
    const entry = checkedEntry(image, table, clusterStart(image, guest));
    return isCompressed(entry.high) || isAllocated(image, entry);
  });
}

/**
 * Marks the subclusters that lie entirely in `[start, end)` as zero. Returns false for a compressed cluster, which has
 * none.
 */
async function zeroSubclusters(image: Image, cluster: number, start: number, end: number): Promise<boolean> {
  const index = l1IndexOf(image.geometry, cluster);
  return await image.tables.change(index, (table) => zeroSubclustersIn(image, table, index, cluster, start, end));
}

function zeroSubclustersIn(
  image: Image,
  table: DataView,
  index: number,
  cluster: number,
  start: number,
  end: number,
): boolean {
  const { geometry } = image;
  const entry = checkedEntry(image, table, cluster);
  if (isCompressed(entry.high)) return false;
  const from = Math.ceil((start - cluster) / geometry.subclusterSize);
  const to = Math.floor((end - cluster) / geometry.subclusterSize);
  if (from >= to) return true;
  const bits = bitRange(from, to);
  const at = l2IndexOf(geometry, cluster) * geometry.l2EntryBytes;
  setSubclusters(table, at, (entry.zeroBits | bits) >>> 0, (entry.allocatedBits & ~bits) >>> 0);
  image.tables.changed(index);
  return true;
}
