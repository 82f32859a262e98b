/**
 * From guest bytes to L2 entries, and from L2 entries to runs.
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

/** What decides whether an L2 entry is valid. */
export interface EntryRules {
  readonly geometry: Geometry;
  readonly version: 2 | 3;
  readonly externalData: boolean;
}

/** The mapping of one state of the disk: the active one or a snapshot. */
export interface Mapping extends EntryRules {
  /** What messages call the image. */
  readonly label: string;
  /** Length of the image file in bytes; tables lie inside. */
  readonly fileSize: number;
  /** The L1 table, as far as the disk reaches. */
  readonly l1: DataView;
  readonly tables: TableCache;
  /** Where uncompressed clusters lie: the image file, or its external data file. */
  readonly data: Storage;
}

/** Where an L1 table lies. */
export interface L1Location {
  readonly fileOffset: number;
  readonly entries: number;
}

/** Reads an L1 table; `entries` says how many entries the result has: more are empty, fewer are cut off. */
export async function readL1(storage: Storage, l1: L1Location, entries: number = l1.entries): Promise<DataView> {
  const bytes = new Uint8Array(entries * 8);
  const there = Math.min(entries, l1.entries) * 8;
  if (there > 0) await storage.readAt(bytes.subarray(0, there), l1.fileOffset);
  return viewOf(bytes);
}

/**
 * The file offset of the L2 table for `guestOffset`; 0 where it is not allocated.
 *
 * @throws ImageError `corrupt` where the L1 entry cannot be.
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

/** One L2 entry by its halves; the bitmap halves are 0 without extended entries. */
export interface L2Entry {
  readonly high: number;
  readonly low: number;
  readonly zeroBits: number;
  readonly allocatedBits: number;
}

/** The entry of `table` for `guestOffset`. */
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
 * What is wrong with an entry, or null. Pure.
 *
 * @param guestCluster guest offset of the cluster; with a data file, host and guest offsets are the same
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

/** The error for a bad entry. */
export function badEntry(mapping: Mapping, guestOffset: number, problem: string): Error {
  return corrupt(
    `Cannot read the L2 entry for guest byte ${guestOffset} of "${mapping.label}": ${problem}`,
    mapping.label,
  );
}

/** The extent of a status; the two zero statuses are one. `offset`: where it lies in the data file, null for nowhere. */
function extentOf({ data }: Mapping, status: ClusterStatus, start: number, end: number, offset: number | null): Extent {
  if (status === CLUSTER.compressed) return compressedExtent(start, end);
  const location = offset === null ? undefined : { storage: data, offset };
  if (status === CLUSTER.data) return dataExtent(start, end, location);
  return status === CLUSTER.unallocated ? holeExtent(start, end, location) : zeroExtent(start, end, location);
}

/** Where a valid entry keeps `guestOffset`; null where it has no host cluster of its own. */
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
 * The status at `guestOffset` and how far it reaches inside its cluster.
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
 * The run at `start`, as far as its L2 table tells and at most to `limit`.
 *
 * @throws ImageError `corrupt` for an entry at `start` that cannot be; bad entries further on only end the run.
 */
export function extentAt(mapping: Mapping, start: number, limit: number): MaybePromise<Extent> {
  const offset = l2TableOffsetAt(mapping, start);
  if (offset === 0) return holeExtent(start, emptyEnd(mapping, start, limit));
  return mapping.tables.look(offset, ({ view }) => extentIn(mapping, view, start, limit));
}

/** The run at `start`, as far as `table` tells, which covers `start`. */
function extentIn(mapping: Mapping, table: DataView, start: number, limit: number): Extent {
  const { geometry } = mapping;
  const end = Math.min(limit, (l1IndexOf(geometry, start) + 1) * geometry.l2Reach);
  const entry = entryAt(geometry, table, start);
  const problem = entryProblem(mapping, entry, start - start % geometry.clusterSize);
  if (problem !== null) throw badEntry(mapping, start, problem);
  const first = statusAt(mapping, entry, start);
  const offset = hostOffsetAt(mapping, entry, start);
  let at = contiguousEnd(geometry, table, start, first.end, end);
  while (at < end) {
    const next = entryAt(geometry, table, at);
    if (entryProblem(mapping, next, at - at % geometry.clusterSize) !== null) break;
    const part = statusAt(mapping, next, at);
    if (part.status !== first.status) break;
    if (hostOffsetAt(mapping, next, at) !== (offset === null ? null : offset + (at - start))) break;
    at = part.end;
  }
  return extentOf(mapping, first.status, start, Math.min(at, end), offset);
}

/**
 * How far entries of the plainest kinds go on: empty ones, and those whose host clusters follow one another. A table of a
 * large disk has little else, so these are told apart without taking an entry to pieces.
 *
 * @param start guest offset of the entry that they continue
 * @param from guest offset of the next cluster
 * @returns the guest offset of the first entry that must be looked at
 */
export function contiguousEnd(geometry: Geometry, table: DataView, start: number, from: number, end: number): number {
  const { clusterSize, extended } = geometry;
  if (extended) return from;
  const index = l2IndexOf(geometry, start);
  const most = Math.ceil((end - from) / clusterSize);
  return from + clusterSize * contiguousEntries(table, index, most, clusterSize);
}

/** How many entries after entry `index` continue it; at most `most`. Counts in small numbers: there are many. */
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

/** How many entries from entry `index` on are empty; at most `most`. */
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

/** Where the empty L1 entries end that begin at `start`; the L1 table is in memory, so this costs no look-up. */
function emptyEnd({ geometry, l1 }: Mapping, start: number, limit: number): number {
  let index = l1IndexOf(geometry, start) + 1;
  while (index * geometry.l2Reach < limit && l1.getUint32(index * 8) === 0 && l1.getUint32(index * 8 + 4) === 0) {
    index++;
  }
  return Math.min(limit, index * geometry.l2Reach);
}
