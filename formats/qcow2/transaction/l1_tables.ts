/**
 * L1 tables within a transaction, the active one and those of snapshots: references of their entries, and new tables.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";
import type { CheckContext } from "../../maintenance.ts";
import {
  compressedHostClusters,
  hostOffsetOf,
  isCompressed,
  isCopied,
  l2TableOffset,
  setEntry,
} from "../mapping/l2_entry.ts";
import { type L1Location, readL1 } from "../mapping/mapping.ts";
import type { Transaction } from "./transaction.ts";
import { corruptImage } from "../refuse_corrupt.ts";

/**
 * Reads an L2 table.
 *
 * @throws ImageError `corrupt` for an offset that is no cluster of the file
 */
export async function readL2({ storage, geometry }: Transaction, fileOffset: number): Promise<DataView> {
  if (fileOffset % geometry.clusterSize !== 0 || fileOffset + geometry.clusterSize > storage.size) {
    throw corruptImage(
      storage,
      `an L1 entry points at byte ${fileOffset}, which is no cluster of the file`,
      fileOffset,
    );
  }
  const bytes = new Uint8Array(geometry.clusterSize);
  await storage.readAt(bytes, fileOffset);
  return viewOf(bytes);
}

/** Adds `by` references to the clusters of the entry at byte `at` of an L2 table. */
export async function addEntryReferences(
  transaction: Transaction,
  l2: DataView,
  at: number,
  by: number,
): Promise<void> {
  const { header, geometry } = transaction;
  const [high, low] = [l2.getUint32(at), l2.getUint32(at + 4)];
  if ((high | low) === 0) return;
  if (!isCompressed(high)) {
    const host = hostOffsetOf(high, low);
    if (host === 0 || header.externalData) return;
    const waiting = transaction.addReferences(host, by, "data");
    if (waiting) await waiting;
    return;
  }
  const { first, last } = compressedHostClusters(geometry, high, low);
  for (let cluster = first; cluster <= last; cluster++) {
    await transaction.addReferences(cluster * geometry.clusterSize, by, "data");
  }
}

/** Adds `by` references to the clusters of all entries of an L2 table. */
export async function addL2References(transaction: Transaction, l2: DataView, by: number): Promise<void> {
  const { l2EntryBytes } = transaction.geometry;
  for (let at = 0; at < l2.byteLength; at += l2EntryBytes) {
    if (l2.getUint32(at) === 0 && l2.getUint32(at + 4) === 0) continue;
    await addEntryReferences(transaction, l2, at, by);
  }
}

/** Adds `by` references to all L2 tables of an L1 table and their clusters; not to the L1 table itself. */
export async function addL1References(
  transaction: Transaction,
  l1: DataView,
  by: number,
  context: CheckContext = transaction.context,
): Promise<void> {
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    const fileOffset = l2TableOffset(l1, index);
    if (fileOffset === 0) continue;
    await addL2References(transaction, await readL2(transaction, fileOffset), by);
    await transaction.addReferences(fileOffset, by, "an L2 table");
    await context.checkpoint(index * 8 / l1.byteLength);
  }
}

/** Releases all L2 tables of an L1 table, their clusters, and the L1 table itself. */
export async function releaseL1(
  transaction: Transaction,
  l1: L1Location,
  context: CheckContext = transaction.context,
): Promise<void> {
  await addL1References(transaction, await readL1(transaction.storage, l1), -1, context);
  await transaction.release(l1.fileOffset, l1.entries * 8);
}

/**
 * Writes `l2` as the table of L1 entry `index`: in place if the transaction allocated it, else into a new cluster.
 *
 * @param references how many references move from the old table to the new one
 */
export async function writeL2(
  transaction: Transaction,
  l1: DataView,
  index: number,
  l2: DataView,
  references = 1,
): Promise<void> {
  const { storage, geometry: { clusterSize } } = transaction;
  const bytes = new Uint8Array(l2.buffer, l2.byteOffset, l2.byteLength);
  const old = l2TableOffset(l1, index);
  if (old !== 0 && transaction.isNew(old) && await transaction.refcount(old / clusterSize) === references) {
    return await storage.writeAt(bytes, old);
  }
  const fileOffset = await transaction.write(bytes);
  if (references > 1) await transaction.adjustRefcount(fileOffset / clusterSize, references - 1);
  if (old !== 0) await transaction.addReferences(old, -references, "an L2 table");
  setEntry(l1, index * 8, fileOffset, references === 1);
}

/**
 * Sets bit 63 of every entry of an L1 table and its L2 tables according to the refcounts after the transaction. Changed
 * tables are copied. Must be the last step before the L1 table is written.
 */
export async function updateCopiedFlags(
  transaction: Transaction,
  l1: DataView,
  context: CheckContext = transaction.context,
  references = 1,
): Promise<void> {
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    if (l2TableOffset(l1, index) === 0) continue;
    const l2 = await readL2(transaction, l2TableOffset(l1, index));
    if (await updateL2CopiedFlags(transaction, l2)) await writeL2(transaction, l1, index, l2, references);
    await context.checkpoint(index * 8 / l1.byteLength);
  }
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    const fileOffset = l2TableOffset(l1, index);
    if (fileOffset === 0) continue;
    setEntry(
      l1,
      index * 8,
      fileOffset,
      await transaction.refcount(fileOffset / transaction.geometry.clusterSize) === 1,
    );
  }
}

/** Sets bit 63 of the entries of an L2 table. Returns whether one changed. */
async function updateL2CopiedFlags(transaction: Transaction, l2: DataView): Promise<boolean> {
  const { header, geometry: { clusterSize, l2EntryBytes } } = transaction;
  if (header.externalData) return false;
  let changed = false;
  for (let at = 0; at < l2.byteLength; at += l2EntryBytes) {
    const [high, low] = [l2.getUint32(at), l2.getUint32(at + 4)];
    const host = hostOffsetOf(high, low);
    if (host === 0 || isCompressed(high)) continue;
    const refcount = transaction.refcount(Math.floor(host / clusterSize));
    const copied = (typeof refcount === "number" ? refcount : await refcount) === 1;
    if (copied === isCopied(high)) continue;
    l2.setUint32(at, ((high & 0x7fffffff) | (copied ? 0x80000000 : 0)) >>> 0);
    changed = true;
  }
  return changed;
}

/** Writes an L1 table into new clusters. */
export async function writeL1(transaction: Transaction, l1: DataView): Promise<L1Location> {
  const bytes = new Uint8Array(l1.buffer, l1.byteOffset, l1.byteLength);
  // The cluster of a table without entries would have no reference.
  const whole = bytes.length === 0 ? new Uint8Array(8) : bytes;
  return { fileOffset: await transaction.write(whole), entries: whole.length / 8 };
}
