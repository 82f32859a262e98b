/**
 * Look-up of L2 entries by guest offset, and the extents that they map.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";
import { corrupt } from "../../errors.ts";
import type { MaybePromise } from "../../maybe_promise.ts";
import { compressedExtent, dataExtent, type Extent, holeExtent, zeroExtent } from "../../extent.ts";
import type { Storage } from "../../storage/types.ts";
import type { TableCache } from "../../shared/table_cache.ts";
import {
  CLUSTER,
  type ClusterStatus,
  clusterStatus,
  decodeCompressed,
  type Geometry,
  hostOffsetOf,
  isCompressed,
  isCopied,
  isZeroFlagged,
  l1IndexOf,
  l1ReservedSet,
  l2IndexOf,
  l2ReservedSet,
  subclusterOf,
  subclusterStatus,
} from "./l2_entry.ts";

/** The parameters that decide whether an L2 entry is valid. */
export interface EntryRules {
  readonly geometry: Geometry;
  readonly version: 2 | 3;
  readonly externalData: boolean;
}

/** The mapping of an L1 table, the active one or that of a snapshot. */
export interface Mapping extends EntryRules {
  /** Name of the image in messages. */
  readonly label: string;
  /** Length of the image file in bytes; tables lie inside. */
  readonly fileSize: number;
  /** The L1 table, up to the end of the disk. */
  readonly l1: DataView;
  readonly tables: TableCache;
  /** Storage of uncompressed clusters: the image file, or the external data file. */
  readonly data: Storage;
}

/** File offset and number of entries of an L1 table. */
export interface L1Location {
  readonly fileOffset: number;
  readonly entries: number;
}

/** Reads the first `entries` entries of an L1 table. Entries past the end of the table are empty. */
export async function readL1(storage: Storage, l1: L1Location, entries: number = l1.entries): Promise<DataView> {
  const bytes = new Uint8Array(entries * 8);
  const there = Math.min(entries, l1.entries) * 8;
  if (there > 0) await storage.readAt(bytes.subarray(0, there), l1.fileOffset);
  return viewOf(bytes);
}

/**
 * Returns the file offset of the L2 table for `guestOffset`; 0 where it is not allocated.
 *
 * @throws ImageError `corrupt` for an invalid L1 entry
 */
export function l2TableOffsetAt(mapping: Mapping, guestOffset: number): number {
  const index = l1IndexOf(mapping.geometry, guestOffset);
  const high = mapping.l1.getUint32(index * 8);
  const low = mapping.l1.getUint32(index * 8 + 4);
  const fileOffset = hostOffsetOf(high, low);
  if (fileOffset === 0 && !l1ReservedSet(high, low)) return 0;
  const problem = l1Problem(mapping, high, low, fileOffset);
  if (problem !== null) {
    throw corrupt(`Cannot read the L2 table of L1 entry ${index} of "${mapping.label}": ${problem}`, mapping.label);
  }
  return fileOffset;
}

function l1Problem({ geometry, fileSize }: Mapping, high: number, low: number, fileOffset: number): string | null {
  if (l1ReservedSet(high, low)) return "reserved bits of the entry are set";
  if (fileOffset % geometry.clusterSize !== 0) {
    return `it begins at byte ${fileOffset}, must be at a cluster (multiple of ${geometry.clusterSize})`;
  }
  const end = fileOffset + geometry.clusterSize;
  return end > fileSize ? `it ends at byte ${end}, past the end of the file (${fileSize})` : null;
}

/** One L2 entry in halves; the bitmap halves are 0 without extended entries. */
export interface L2Entry {
  readonly high: number;
  readonly low: number;
  readonly zeroBits: number;
  readonly allocatedBits: number;
}

/** Returns the entry of `table` for `guestOffset`. */
export function entryAt(geometry: Geometry, table: DataView, guestOffset: number): L2Entry {
  const at = l2IndexOf(geometry, guestOffset) * geometry.l2EntryBytes;
  return {
    high: table.getUint32(at),
    low: table.getUint32(at + 4),
    zeroBits: geometry.extended ? table.getUint32(at + 8) : 0,
    allocatedBits: geometry.extended ? table.getUint32(at + 12) : 0,
  };
}

/**
 * Returns the defect of an entry, or null. Pure.
 *
 * @param guestCluster guest offset of the cluster; in a data file, host and guest offset must be the same
 */
export function entryProblem(rules: EntryRules, entry: L2Entry, guestCluster: number): string | null {
  const { high, low, zeroBits, allocatedBits } = entry;
  const { extended, clusterSize } = rules.geometry;
  if (isCompressed(high)) {
    return rules.externalData ? "it is compressed, which an image with external data cannot have" : null;
  }
  if ((high | low | zeroBits | allocatedBits) === 0) return null;
  if (l2ReservedSet(high, low, extended)) return "reserved bits are set";
  const fileOffset = hostOffsetOf(high, low);
  if (fileOffset % clusterSize !== 0) return `its host offset ${fileOffset} is not at a cluster`;
  if (rules.version === 2 && isZeroFlagged(low)) return "its zero flag is set, which version 2 does not have";
  const allocated = fileOffset !== 0 || (rules.externalData && isCopied(high));
  if (rules.externalData && allocated && fileOffset !== guestCluster) {
    return `its host offset is ${fileOffset}, must be ${guestCluster} in external data`;
  }
  if ((zeroBits & allocatedBits) !== 0) return "a subcluster is both zero and allocated";
  if (allocatedBits !== 0 && !allocated) return "a subcluster is allocated, but the cluster is not";
  return null;
}

/** Returns the error for an invalid entry. */
export function badEntry(mapping: Mapping, guestOffset: number, problem: string): Error {
  return corrupt(
    `Cannot read the L2 entry for guest byte ${guestOffset} of "${mapping.label}": ${problem}`,
    mapping.label,
  );
}

/**
 * Returns the extent of a status; both zero statuses give the same. `offset` is its offset in the data file; null for
 * none.
 */
function extentOf({ data }: Mapping, status: ClusterStatus, start: number, end: number, offset: number | null): Extent {
  if (status === CLUSTER.compressed) return compressedExtent(start, end);
  const location = offset === null ? undefined : { storage: data, offset };
  if (status === CLUSTER.data) return dataExtent(start, end, location);
  return status === CLUSTER.unallocated ? holeExtent(start, end, location) : zeroExtent(start, end, location);
}

/**
 * Returns the offset in the data file of `guestOffset`, mapped by a valid entry; null where it has no host cluster of
 * its own.
 */
function hostOffsetAt(
  { geometry, externalData }: EntryRules,
  { high, low }: L2Entry,
  guestOffset: number,
): number | null {
  const cluster = hostOffsetOf(high, low);
  if (isCompressed(high) || (cluster === 0 && !(externalData && isCopied(high)))) return null;
  return cluster + guestOffset % geometry.clusterSize;
}

/** Part of one cluster with one status; `end` is a guest offset. */
export interface ClusterPart {
  readonly status: ClusterStatus;
  readonly end: number;
}

/**
 * Returns the status at `guestOffset` and the end of the part of its cluster with that status.
 *
 * @param entry a valid entry
 */
export function statusAt(rules: EntryRules, entry: L2Entry, guestOffset: number): ClusterPart {
  const { geometry } = rules;
  const cluster = guestOffset - guestOffset % geometry.clusterSize;
  const clusterEnd = cluster + geometry.clusterSize;
  const status = clusterStatus(entry.high, entry.low, geometry.extended, rules.externalData);
  if (status === CLUSTER.zeroAllocated) return { status: CLUSTER.zero, end: clusterEnd };
  if (status !== CLUSTER.subclusters) return { status, end: clusterEnd };
  let index = subclusterOf(geometry, guestOffset);
  const first = subclusterStatus(entry.zeroBits, entry.allocatedBits, index);
  do index++; while (index < 32 && subclusterStatus(entry.zeroBits, entry.allocatedBits, index) === first);
  return { status: first, end: cluster + index * geometry.subclusterSize };
}

/**
 * Returns the extent at `start`, up to the end of its L2 table and at most to `limit`.
 *
 * @throws ImageError `corrupt` for an invalid entry at `start`; later invalid entries only end the extent
 */
export function extentAt(mapping: Mapping, start: number, limit: number): MaybePromise<Extent> {
  const offset = l2TableOffsetAt(mapping, start);
  if (offset === 0) return holeExtent(start, emptyEnd(mapping, start, limit));
  return mapping.tables.look(offset, ({ view }) => extentIn(mapping, view, start, limit));
}

/** Returns the extent at `start`, mapped by `table`. */
function extentIn(mapping: Mapping, table: DataView, start: number, limit: number): Extent {
  const { geometry } = mapping;
  const end = Math.min(limit, (l1IndexOf(geometry, start) + 1) * geometry.l2Reach);
  const entry = entryAt(geometry, table, start);
  const problem = entryProblem(mapping, entry, start - start % geometry.clusterSize);
  if (problem !== null) throw badEntry(mapping, start, problem);
  const first = statusAt(mapping, entry, start);
  const offset = hostOffsetAt(mapping, entry, start);
  const missing = isMissing(mapping, first, entry);
  let at = contiguousEnd(geometry, table, start, first.end, end);
  while (at < end) {
    const next = entryAt(geometry, table, at);
    if (entryProblem(mapping, next, at - at % geometry.clusterSize) !== null) break;
    const part = statusAt(mapping, next, at);
    if (part.status !== first.status || isMissing(mapping, part, next) !== missing) break;
    if (hostOffsetAt(mapping, next, at) !== (offset === null ? null : offset + (at - start))) break;
    at = part.end;
  }
  if (missing) return dataExtent(start, Math.min(at, end), { storage: mapping.data, offset: mapping.fileSize + start });
  return extentOf(mapping, first.status, start, Math.min(at, end), offset);
}

/** Returns whether a cluster is compressed, and its bytes lie past the end of a file that is cut off. */
function isMissing({ geometry, fileSize }: Mapping, { status }: ClusterPart, { high, low }: L2Entry): boolean {
  return status === CLUSTER.compressed && decodeCompressed(geometry.clusterBits, high, low).fileOffset >= fileSize;
}

/**
 * Skips entries that continue the one at `start`: empty ones after an empty one, consecutive host clusters after a host
 * cluster. The table of a large disk has little else, so these are compared without decoding them.
 *
 * @param start guest offset of the entry that they continue
 * @param from guest offset of the next cluster
 * @returns the guest offset of the first entry that must be decoded
 */
export function contiguousEnd(geometry: Geometry, table: DataView, start: number, from: number, end: number): number {
  const { clusterSize, extended } = geometry;
  if (extended) return from;
  const index = l2IndexOf(geometry, start);
  const most = Math.ceil((end - from) / clusterSize);
  return from + clusterSize * contiguousEntries(table, index, most, clusterSize);
}

/** Returns how many entries after entry `index` continue it; at most `most`. Computes in 32-bit halves for speed. */
function contiguousEntries(table: DataView, index: number, most: number, clusterSize: number): number {
  let at = index * 8;
  let high = table.getUint32(at);
  let low = table.getUint32(at + 4);
  if ((high | low) === 0) return emptyEntries(table, index + 1, most);
  if (isCompressed(high) || !isCopied(high) || isZeroFlagged(low)) return 0;
  for (let count = 0; count < most; count++) {
    at += 8;
    low += clusterSize;
    if (low >= 2 ** 32) {
      low -= 2 ** 32;
      high++;
    }
    if (table.getUint32(at + 4) !== low || table.getUint32(at) !== high) return count;
  }
  return most;
}

/** Returns how many entries from entry `index` on are empty; at most `most`. */
function emptyEntries(table: DataView, index: number, most: number): number {
  const words = new Uint32Array(table.buffer, table.byteOffset + index * 8, most * 2);
  let word = 0;
  while (word + 8 <= words.length) {
    const some = words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]! | words[word + 4]! |
      words[word + 5]! | words[word + 6]! | words[word + 7]!;
    if (some !== 0) break;
    word += 8;
  }
  while (word < words.length && words[word] === 0) word++;
  return word >> 1;
}

/**
 * Returns the guest offset where the empty L1 entries end that begin at `start`. The L1 table is in memory, so this
 * costs no read.
 */
function emptyEnd({ geometry, l1 }: Mapping, start: number, limit: number): number {
  let index = l1IndexOf(geometry, start) + 1;
  while (index * geometry.l2Reach < limit && l1.getUint32(index * 8) === 0 && l1.getUint32(index * 8 + 4) === 0) {
    index++;
  }
  return Math.min(limit, index * geometry.l2Reach);
}
