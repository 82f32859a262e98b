/**
 * States of the disk within a change: the active one and those of snapshots, each an L1 table and what it leads to.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";
import type { CheckContext } from "../../maintenance.ts";
import type { Storage } from "../../storage/types.ts";
import { decodeCompressed, hostOffsetOf, isCompressed, isCopied, setEntry, tableAt } from "../mapping/l2_entry.ts";
import type { Transaction } from "./transaction.ts";
import { mustRepair } from "../refuse_corrupt.ts";

/** Where an L1 table lies. */
export interface L1Place {
  readonly fileOffset: number;
  readonly entries: number;
}

/** Reads an L1 table; `entries` says how many entries the result has: more are empty, fewer are cut off. */
export async function readL1(storage: Storage, l1: L1Place, entries: number = l1.entries): Promise<DataView> {
  const bytes = new Uint8Array(entries * 8);
  const there = Math.min(entries, l1.entries) * 8;
  if (there > 0) await storage.readAt(bytes.subarray(0, there), l1.fileOffset);
  return viewOf(bytes);
}

/** Reads an L2 table. */
export async function readL2({ storage, geometry }: Transaction, fileOffset: number): Promise<DataView> {
  if (fileOffset % geometry.clusterSize !== 0 || fileOffset + geometry.clusterSize > storage.size) {
    throw mustRepair(storage, `an L1 entry points at byte ${fileOffset}, which is no cluster of the file`, fileOffset);
  }
  const bytes = new Uint8Array(geometry.clusterSize);
  await storage.readAt(bytes, fileOffset);
  return viewOf(bytes);
}

/** Adds `by` references to what the entry at byte `at` of an L2 table points at. */
export async function addEntry(renewal: Transaction, l2: DataView, at: number, by: number): Promise<void> {
  const { header, geometry: { clusterSize, clusterBits } } = renewal;
  const [high, low] = [l2.getUint32(at), l2.getUint32(at + 4)];
  if ((high | low) === 0) return;
  if (!isCompressed(high)) {
    const host = hostOffsetOf(high, low);
    if (host === 0 || header.externalData) return;
    const waiting = renewal.refer(host, by, "data");
    if (waiting) await waiting;
    return;
  }
  const { fileOffset, length } = decodeCompressed(clusterBits, high, low);
  const last = Math.floor((fileOffset + length - 1) / clusterSize);
  for (let cluster = Math.floor(fileOffset / clusterSize); cluster <= last; cluster++) {
    await renewal.refer(cluster * clusterSize, by, "data");
  }
}

/** Adds `by` references to everything that an L2 table points at. */
export async function addTable(renewal: Transaction, l2: DataView, by: number): Promise<void> {
  const { l2EntryBytes } = renewal.geometry;
  for (let at = 0; at < l2.byteLength; at += l2EntryBytes) {
    if (l2.getUint32(at) === 0 && l2.getUint32(at + 4) === 0) continue;
    await addEntry(renewal, l2, at, by);
  }
}

/** Adds `by` references to everything that an L1 table leads to; not to the table itself. */
export async function addState(
  renewal: Transaction,
  l1: DataView,
  by: number,
  context: CheckContext = renewal.context,
): Promise<void> {
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    const fileOffset = tableAt(l1, index);
    if (fileOffset === 0) continue;
    await addTable(renewal, await readL2(renewal, fileOffset), by);
    await renewal.refer(fileOffset, by, "an L2 table");
    await context.checkpoint(index * 8 / l1.byteLength);
  }
}

/** Takes away everything that an L1 table leads to, and the table. */
export async function dropState(
  renewal: Transaction,
  l1: L1Place,
  context: CheckContext = renewal.context,
): Promise<void> {
  await addState(renewal, await readL1(renewal.storage, l1), -1, context);
  await renewal.drop(l1.fileOffset, l1.entries * 8);
}

/**
 * Puts `l2` in the place of the table of entry `index`: over it where it is new, else into a new cluster.
 *
 * @param shares how many references move from the old table to the new one
 */
export async function putL2(
  renewal: Transaction,
  l1: DataView,
  index: number,
  l2: DataView,
  shares = 1,
): Promise<void> {
  const { storage, geometry: { clusterSize } } = renewal;
  const bytes = new Uint8Array(l2.buffer, l2.byteOffset, l2.byteLength);
  const old = tableAt(l1, index);
  if (old !== 0 && renewal.isNew(old) && await renewal.get(old / clusterSize) === shares) {
    return await storage.writeAt(bytes, old);
  }
  const fileOffset = await renewal.place(bytes);
  if (shares > 1) await renewal.add(fileOffset / clusterSize, shares - 1);
  if (old !== 0) await renewal.refer(old, -shares, "an L2 table");
  setEntry(l1, index * 8, fileOffset, shares === 1);
}

/**
 * Makes bit 63 of every entry of the active state say whether what it points at is nobody else's, as it will be; tables
 * that change are copied. The last step before the L1 table is written.
 */
export async function renewFlags(
  renewal: Transaction,
  l1: DataView,
  context: CheckContext = renewal.context,
  shares = 1,
): Promise<void> {
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    if (tableAt(l1, index) === 0) continue;
    const l2 = await readL2(renewal, tableAt(l1, index));
    if (await renewTableFlags(renewal, l2)) await putL2(renewal, l1, index, l2, shares);
    await context.checkpoint(index * 8 / l1.byteLength);
  }
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    const fileOffset = tableAt(l1, index);
    if (fileOffset === 0) continue;
    setEntry(l1, index * 8, fileOffset, await renewal.get(fileOffset / renewal.geometry.clusterSize) === 1);
  }
}

/** Whether a flag was changed. */
async function renewTableFlags(renewal: Transaction, l2: DataView): Promise<boolean> {
  const { header, geometry: { clusterSize, l2EntryBytes } } = renewal;
  if (header.externalData) return false;
  let changed = false;
  for (let at = 0; at < l2.byteLength; at += l2EntryBytes) {
    const [high, low] = [l2.getUint32(at), l2.getUint32(at + 4)];
    const host = hostOffsetOf(high, low);
    if (host === 0 || isCompressed(high)) continue;
    const got = renewal.get(Math.floor(host / clusterSize));
    const copied = (typeof got === "number" ? got : await got) === 1;
    if (copied === isCopied(high)) continue;
    l2.setUint32(at, ((high & 0x7fffffff) | (copied ? 0x80000000 : 0)) >>> 0);
    changed = true;
  }
  return changed;
}

/** Writes an L1 table into new clusters. */
export async function putL1(renewal: Transaction, l1: DataView): Promise<L1Place> {
  const bytes = new Uint8Array(l1.buffer, l1.byteOffset, l1.byteLength);
  // A table without entries would have a place that nothing accounts for.
  const whole = bytes.length === 0 ? new Uint8Array(8) : bytes;
  return { fileOffset: await renewal.place(whole), entries: whole.length / 8 };
}
