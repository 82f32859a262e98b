/**
 * Writes of guest bytes: in place where no other reference to a host cluster exists, else into new clusters.
 *
 * @module
 */
import { zeroes } from "../../bytes.ts";
import type { Content } from "../../content.ts";
import { corrupt } from "../../errors.ts";
import type { WritableStorage } from "../../storage/types.ts";
import { clusterStart, type Image, knownZero, readWithBacking } from "../image.ts";
import {
  CLUSTER,
  clusterStatus,
  compressedHostClusters,
  hostOffsetOf,
  isCompressed,
  isCopied,
  l1IndexOf,
  l2IndexOf,
  setEntry,
  setSubclusters,
  subclusterStatus,
} from "../mapping/l2_entry.ts";
import { badEntry, entryAt, entryProblem, type L2Entry } from "../mapping/mapping.ts";
import { REPAIR_FIRST } from "../refuse_corrupt.ts";

/** Writes `content` at `guestStart`; any alignment, inside the disk. */
export async function writeData(image: Image, content: Content, guestStart: number): Promise<void> {
  const { l2Reach } = image.geometry;
  const { length } = content;
  const end = guestStart + length;
  for (let guest = guestStart; guest < end;) {
    const index = l1IndexOf(image.geometry, guest);
    const tableEnd = Math.min(end, (index + 1) * l2Reach);
    while (guest < tableEnd) {
      guest = await writeSpan(image, index, content.part(guest - guestStart, length), guest, tableEnd);
    }
    if (image.commitDue) await image.commit();
  }
}

/**
 * Returns the entry of `table` for `guestCluster`.
 *
 * @throws ImageError `corrupt` for an invalid entry
 */
export function checkedEntry(image: Image, table: DataView, guestCluster: number): L2Entry {
  const entry = entryAt(image.geometry, table, guestCluster);
  const problem = entryProblem(image.mapping, entry, guestCluster);
  if (problem !== null) throw badEntry(image.mapping, guestCluster, problem);
  return entry;
}

/** Whether the entry has a host cluster of uncompressed data or zeroes. */
export function isAllocated(image: Image, { high, low }: L2Entry): boolean {
  return !isCompressed(high) && (hostOffsetOf(high, low) !== 0 || (image.header.externalData && isCopied(high)));
}

/** Consecutive host clusters for consecutive guest clusters. */
interface Span {
  /** Guest offsets of the start of the first cluster and the end of the last. */
  readonly from: number;
  readonly to: number;
  /** File offset of the first host cluster. */
  readonly host: number;
  /** Whether the clusters were allocated before, with one reference each. */
  readonly inPlace: boolean;
  /** Whether bytes that are not written read as zeroes. */
  readonly zeroed: boolean;
}

/**
 * Writes the start of `content` at `start`, up to the end of one span of host clusters. Returns the guest offset where
 * it ends.
 */
async function writeSpan(image: Image, index: number, content: Content, start: number, limit: number): Promise<number> {
  const span = await spanAt(image, index, start, limit);
  const end = Math.min(span.to, limit);
  await fillEdge(image, index, span, start, true);
  await fillEdge(image, index, span, end, false);
  await content.part(0, end - start).writeTo(image.data, span.host + (start - span.from));
  await image.tables.change(index, (table) => mapSpan(image, table, index, span, start, end));
  return end;
}

/** Returns the host clusters for the guest bytes from `start` on, allocated if needed; up to `limit`. */
async function spanAt(image: Image, index: number, start: number, limit: number): Promise<Span> {
  const from = clusterStart(image, start);
  const entry = await image.tables.change(index, (table) => checkedEntry(image, table, from));
  if (!await isExclusive(image, entry, from)) return await allocateSpan(image, index, from, limit);
  const host = hostOffsetOf(entry.high, entry.low);
  const to = await image.tables.change(index, (table) => exclusiveEnd(image, table, from, host, limit));
  return { from, to, host, inPlace: true, zeroed: false };
}

/**
 * Returns the guest offset where the exclusive host clusters end that follow the one at `from`, whose file offset is
 * `host`.
 */
function exclusiveEnd(image: Image, table: DataView, from: number, host: number, limit: number): number {
  const { clusterSize } = image.geometry;
  let to = from + clusterSize;
  while (to < limit) {
    const next = checkedEntry(image, table, to);
    if (!isAllocated(image, next) || hostOffsetOf(next.high, next.low) !== host + (to - from)) break;
    if (!isKnownExclusive(image, next, to)) break;
    to += clusterSize;
  }
  return to;
}

/** Whether the host cluster of this entry may be written in place: it has no other reference. */
async function isExclusive(image: Image, entry: L2Entry, guestCluster: number): Promise<boolean> {
  if (!isAllocated(image, entry)) return false;
  if (image.isNew || image.header.externalData) return true;
  const cluster = hostOffsetOf(entry.high, entry.low) / image.geometry.clusterSize;
  image.metadata?.refuseMetadata(cluster, guestCluster);
  // The refcount decides, not bit 63: a wrong bit must not overwrite data of a snapshot.
  const count = image.allocator.peekRefcount(cluster) ?? await image.allocator.refcount(cluster);
  if (count > 0) return count === 1;
  throw corrupt(
    `Cannot write to cluster ${cluster} of "${image.storage.label}": it is in use, but its refcount is 0; ` +
      REPAIR_FIRST,
    image.storage.label,
    hostOffsetOf(entry.high, entry.low),
  );
}

/** {@linkcode isExclusive} as far as refcounts in the cache show it; false if unknown. */
function isKnownExclusive(image: Image, entry: L2Entry, guestCluster: number): boolean {
  if (image.isNew || image.header.externalData) return true;
  const cluster = hostOffsetOf(entry.high, entry.low) / image.geometry.clusterSize;
  image.metadata?.refuseMetadata(cluster, guestCluster);
  return image.allocator.peekRefcount(cluster) === 1;
}

/** Whether a refcount in the cache shows that the host cluster of this entry has other references. */
function isKnownShared(image: Image, entry: L2Entry): boolean {
  if (image.isNew || image.header.externalData) return false;
  const count = image.allocator.peekRefcount(hostOffsetOf(entry.high, entry.low) / image.geometry.clusterSize);
  return count !== undefined && count > 1;
}

/** Allocates host clusters from guest cluster `from` on, as far as consecutive guest clusters need them. */
async function allocateSpan(image: Image, index: number, from: number, limit: number): Promise<Span> {
  const { clusterSize } = image.geometry;
  const { to, hole } = await image.tables.change(index, (table) => unallocatedEnd(image, table, from, limit));
  if (image.header.externalData) {
    return { from, to, host: from, inPlace: false, zeroed: hole && from >= image.zeroedFrom };
  }
  const clusters = await image.allocator.allocate((to - from) / clusterSize);
  const host = clusters.first * clusterSize;
  const zeroed = clusters.atEnd && host >= image.zeroedFrom;
  return { from, to: from + clusters.count * clusterSize, host, inPlace: false, zeroed };
}

/**
 * Returns the guest offset where the clusters end that need an allocation, the first of which is at `from`, and whether
 * they are holes.
 */
function unallocatedEnd(image: Image, table: DataView, from: number, limit: number): { to: number; hole: boolean } {
  const { clusterSize } = image.geometry;
  const hole = isEmpty(entryAt(image.geometry, table, from));
  let to = from + clusterSize;
  while (to < limit) {
    const next = checkedEntry(image, table, to);
    // In a data file only holes were never written; other clusters can be mixed in one span.
    if (image.header.externalData && isEmpty(next) !== hole) break;
    if (isAllocated(image, next) && !isKnownShared(image, next)) break;
    to += clusterSize;
  }
  return { to, hole };
}

function isEmpty({ high, low, zeroBits, allocatedBits }: L2Entry): boolean {
  return (high | low | zeroBits | allocatedBits) === 0;
}

/**
 * Fills the bytes between the written ones and the edge of the clusters or subclusters that become data.
 *
 * @param at guest offset where the written bytes begin (`head`) or end
 */
async function fillEdge(image: Image, index: number, span: Span, at: number, head: boolean): Promise<void> {
  const { clusterSize } = image.geometry;
  if (at % clusterSize === 0) return;
  const cluster = clusterStart(image, at);
  const entry = await image.tables.change(index, (table) => entryAt(image.geometry, table, cluster));
  const granularity = fillGranularity(image, entry, at, span.inPlace);
  const from = head ? at - at % granularity : at;
  const to = head ? at : at - at % granularity + (at % granularity === 0 ? 0 : granularity);
  if (to > from) await fill(image, span, from, to);
}

/** Returns the alignment, in bytes, to which the bytes around `at` must be filled; 1 for none. */
function fillGranularity(image: Image, entry: L2Entry, at: number, inPlace: boolean): number {
  const { clusterSize, subclusterSize, extended } = image.geometry;
  const status = clusterStatus(entry.high, entry.low, extended, image.header.externalData);
  if (!inPlace && (status !== CLUSTER.subclusters || entry.allocatedBits !== 0)) return clusterSize;
  if (status === CLUSTER.data) return 1;
  if (status !== CLUSTER.subclusters) return clusterSize;
  const subcluster = Math.floor(at % clusterSize / subclusterSize);
  return subclusterStatus(entry.zeroBits, entry.allocatedBits, subcluster) === CLUSTER.data ? 1 : subclusterSize;
}

/** Copies the present content of the guest bytes `[from, to)` into the clusters of `span`. */
async function fill(image: Image, span: Span, from: number, to: number): Promise<void> {
  const host = span.host + (from - span.from);
  if (!await knownZero(image, from, to)) {
    const bytes = new Uint8Array(to - from);
    await readWithBacking(image, bytes, from);
    await image.data.writeAt(bytes, host);
  } else if (!span.zeroed) {
    await writeZeroes(image.data, host, host + to - from);
  }
}

/** Writes zeroes to `[start, end)` of `data`. */
export async function writeZeroes(data: WritableStorage, start: number, end: number): Promise<void> {
  for (let at = start; at < end;) {
    const piece = zeroes(end - at);
    await data.writeAt(piece, at);
    at += piece.length;
  }
}

/** Points the entries of the guest bytes `[start, end)` at the clusters of `span`. */
function mapSpan(image: Image, table: DataView, index: number, span: Span, start: number, end: number): void {
  const { geometry } = image;
  let changed = false;
  for (let guest = span.from; guest < span.to; guest += geometry.clusterSize) {
    const entry = entryAt(geometry, table, guest);
    const at = l2IndexOf(geometry, guest) * geometry.l2EntryBytes;
    if (!span.inPlace) releaseEntry(image, entry, guest);
    const host = span.host + (guest - span.from);
    const low = host >>> 0;
    if (!span.inPlace || entry.low !== low || !isCopied(entry.high)) {
      setEntry(table, at, host, true);
      changed = true;
    }
    if (geometry.extended) changed = mapSubclusters(image, table, at, entry, guest, start, end) || changed;
  }
  if (changed || !span.inPlace) image.tables.changed(index);
}

/** Marks the subclusters that `[start, end)` touches as data. Returns whether that changes the entry. */
function mapSubclusters(
  image: Image,
  table: DataView,
  at: number,
  entry: L2Entry,
  guest: number,
  start: number,
  end: number,
): boolean {
  const { clusterSize, subclusterSize } = image.geometry;
  const from = Math.floor(Math.max(0, start - guest) / subclusterSize);
  const to = Math.ceil(Math.min(clusterSize, end - guest) / subclusterSize);
  const touched = isCompressed(entry.high) ? 0xffffffff : bitRange(from, to);
  const allocated = (entry.allocatedBits | touched) >>> 0;
  const zero = (entry.zeroBits & ~touched) >>> 0;
  if (allocated === entry.allocatedBits && zero === entry.zeroBits) return false;
  setSubclusters(table, at, zero, allocated);
  return true;
}

/** Returns a mask of the bits `[from, to)`, at most 32. */
export function bitRange(from: number, to: number): number {
  return (to - from === 32 ? 0xffffffff : ((1 << (to - from)) - 1) << from) >>> 0;
}

/**
 * Releases the references of an entry that is about to be replaced.
 *
 * @throws ImageError `corrupt` where they point at metadata, which would be freed and allocated for guest data
 */
export function releaseEntry(image: Image, { high, low }: L2Entry, guestCluster: number): void {
  if (isCompressed(high)) {
    const { first, last } = compressedHostClusters(image.geometry, high, low);
    for (let cluster = first; cluster <= last; cluster++) image.metadata?.refuseMetadata(cluster, guestCluster);
    for (let cluster = first; cluster <= last; cluster++) image.release(cluster);
  } else if (!image.header.externalData && hostOffsetOf(high, low) !== 0) {
    const cluster = hostOffsetOf(high, low) / image.geometry.clusterSize;
    image.metadata?.refuseMetadata(cluster, guestCluster);
    image.release(cluster);
  }
}
