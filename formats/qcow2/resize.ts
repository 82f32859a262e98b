/**
 * Resizing the disk of an image.
 *
 * @module
 */
import { alignDown, alignUp, SECTOR } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { truncateOnFailure } from "../shared/growth.ts";
import { type ChangeContext, type CheckContext, type Preallocation, stageContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { resizeBitmaps } from "./bitmaps/resize.ts";
import { openData } from "./open.ts";
import { type Header, readHeader } from "./header/header.ts";
import { L1_BYTES_MAX } from "./header/types.ts";
import {
  geometryOf,
  l1EntriesFor,
  l1IndexOf,
  l2IndexOf,
  l2TableOffset,
  setEntry,
  setSubclusters,
} from "./mapping/l2_entry.ts";
import { readL1 } from "./mapping/mapping.ts";
import { beginTransaction, type Transaction } from "./transaction/transaction.ts";
import { zeroTail } from "./resize_tail.ts";
import { addEntryReferences, addL2References, readL2, writeL1, writeL2 } from "./transaction/l1_tables.ts";
import { refuseCorrupt } from "./refuse_corrupt.ts";

/**
 * Makes the disk `size` guest bytes long. Bytes past a lower size are lost; new bytes read as zeroes.
 *
 * @throws ImageError `usage` for an invalid size; `unsupported` for an image that cannot change its size
 */
export async function resizeQcow2(
  storage: WritableStorage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  checkSize(storage, header, size);
  if (size === header.size) return;
  const data = await openData(header, storage, context);
  const transaction = await beginTransaction(storage, header, context);
  const entries = Math.max(1, l1EntriesFor(transaction.geometry, size));
  const l1 = await readL1(storage, header.l1, Math.max(entries, header.l1.entries));
  await deallocateFrom(transaction, l1, alignUp(Math.min(size, header.size), header.clusterSize));
  if (size > header.size) {
    const growing = () => grow(transaction, l1, data, size, growth, context);
    await truncateOnFailure(storage, () => truncateOnFailure(data, growing));
  }
  const bitmaps = await resizeBitmaps(transaction, size);
  await transaction.release(header.l1.fileOffset, header.l1.entries * 8);
  const cut = new DataView(l1.buffer, l1.byteOffset, entries * 8);
  await transaction.commit({ size, l1: await writeL1(transaction, cut), ...bitmaps });
  if (header.rawExternalData && size < header.size) {
    await data.truncate(size);
    await data.sync();
  }
}

function checkSize({ label }: WritableStorage, header: Header, size: number): void {
  const refuse = (kind: "usage" | "unsupported", why: string) => {
    throw new ImageError(kind, `Cannot resize "${label}" to ${size} bytes: ${why}`, { path: label });
  };
  if (size % SECTOR !== 0) refuse("usage", `qcow2 disks have whole sectors, so it must be a multiple of ${SECTOR}`);
  const geometry = geometryOf(header);
  if (l1EntriesFor(geometry, size) * 8 > L1_BYTES_MAX) {
    refuse("usage", `with its clusters it can have at most ${L1_BYTES_MAX / 8 * geometry.l2Reach} bytes`);
  }
  if (header.version === 2 && header.snapshots.count > 0) {
    refuse("unsupported", "it has snapshots, and compat=0.10 does not keep their size; amend it to compat=1.1 first");
  }
}

/** Deallocates all clusters from guest byte `start` on, which is at a cluster boundary. */
async function deallocateFrom(transaction: Transaction, l1: DataView, start: number): Promise<void> {
  const { geometry } = transaction;
  for (let index = l1IndexOf(geometry, start); index * 8 < l1.byteLength; index++) {
    const fileOffset = l2TableOffset(l1, index);
    if (fileOffset === 0) continue;
    const l2 = await readL2(transaction, fileOffset);
    if (index * geometry.l2Reach >= start) {
      await addL2References(transaction, l2, -1);
      await transaction.addReferences(fileOffset, -1, "an L2 table");
      setEntry(l1, index * 8, 0, false);
    } else if (await deallocateEntries(transaction, l2, l2IndexOf(geometry, start))) {
      await writeL2(transaction, l1, index, l2);
    }
    await transaction.context.checkpoint(index * 8 / l1.byteLength);
  }
}

/** Deallocates the entries from `first` on. Returns whether there were any. */
async function deallocateEntries(transaction: Transaction, l2: DataView, first: number): Promise<boolean> {
  const { l2EntryBytes, extended } = transaction.geometry;
  let changed = false;
  for (let at = first * l2EntryBytes; at < l2.byteLength; at += l2EntryBytes) {
    const empty = l2.getUint32(at) === 0 && l2.getUint32(at + 4) === 0;
    if (empty && !(extended && (l2.getUint32(at + 8) | l2.getUint32(at + 12)) !== 0)) continue;
    await addEntryReferences(transaction, l2, at, -1);
    setEntry(l2, at, 0, false);
    if (extended) setSubclusters(l2, at, 0, 0);
    changed = true;
  }
  return changed;
}

/** Makes the new end read as zeroes, and allocates it if `growth` says so. */
async function grow(
  transaction: Transaction,
  l1: DataView,
  data: WritableStorage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  const { header, storage } = transaction;
  const backing = header.backing === null ? null : await context.openBacking(header.backing);
  const external = data === storage ? null : data;
  await zeroTail(transaction, l1, external, backing);
  const start = alignUp(header.size, header.clusterSize);
  const oldSize = data.size;
  if (external && external.size < size) {
    await external.truncate(size);
    await external.sync();
  }
  // A raw data file alone is the disk, so every cluster is allocated in it.
  const preallocation = header.rawExternalData && growth === "off" ? "metadata" : growth;
  if (preallocation !== "off") {
    await preallocateGrowth(transaction, l1, external && { data, oldSize }, start, size, preallocation);
  } else await hideBacking(transaction, l1, backing, start, size);
}

/** Marks clusters as zero where the backing file would show. */
async function hideBacking(
  transaction: Transaction,
  l1: DataView,
  backing: GuestReader | null,
  start: number,
  size: number,
): Promise<void> {
  const end = Math.min(size, backing?.size ?? 0);
  if (end <= start) return;
  const { header, geometry, context } = transaction;
  // Version 2 has no zero clusters, so unwritten clusters are allocated.
  if (header.version === 2) return await preallocateGrowth(transaction, l1, null, start, end, "metadata");
  await eachCluster(transaction, l1, start, end, context, (l2, at) => {
    setEntry(l2, at, 0, false, !geometry.extended);
    if (geometry.extended) setSubclusters(l2, at, 0xffffffff, 0);
  });
}

/** Allocates every cluster of the new end, which reads as zeroes. */
async function preallocateGrowth(
  transaction: Transaction,
  l1: DataView,
  external: { readonly data: WritableStorage; readonly oldSize: number } | null,
  start: number,
  size: number,
  growth: Preallocation,
): Promise<void> {
  const { storage, context, geometry: { clusterSize, extended } } = transaction;
  const end = alignUp(size, clusterSize);
  if (end <= start) return;
  const data = external?.data ?? storage;
  const base = external ? start : await transaction.allocate((end - start) / clusterSize, true) * clusterSize;
  // Reserving space takes longer than writing the tables.
  const mappingContext = growth === "metadata" ? context : stageContext(context, 0, 0.1);
  await eachCluster(transaction, l1, start, end, mappingContext, (l2, at, guest) => {
    setEntry(l2, at, base + (guest - start), true);
    if (extended) setSubclusters(l2, at, 0, 0xffffffff);
  });
  const baseEnd = base + Math.min(end, external ? size : end) - start;
  // A data file may still hold bytes of a longer disk, which are past its end now.
  if (external && external.oldSize > base) await data.zeroAt(base, Math.min(external.oldSize, baseEnd));
  // Bytes past the end of the file read as zeroes in either case.
  if (growth === "metadata") await data.truncate(Math.max(data.size, baseEnd));
  else await data.reserve(base, baseEnd, growth === "full");
  await data.sync();
}

/** Changes the entries of all clusters of `[start, end)`. L2 tables are allocated or copied as needed. */
async function eachCluster(
  transaction: Transaction,
  l1: DataView,
  start: number,
  end: number,
  context: CheckContext,
  change: (l2: DataView, at: number, guest: number) => void,
): Promise<void> {
  const { geometry } = transaction;
  for (let guest = start; guest < end;) {
    const index = l1IndexOf(geometry, guest);
    const fileOffset = l2TableOffset(l1, index);
    const l2 = fileOffset === 0
      ? new DataView(new ArrayBuffer(geometry.clusterSize))
      : await readL2(transaction, fileOffset);
    const tableEnd = Math.min(end, (index + 1) * geometry.l2Reach);
    for (; guest < tableEnd; guest += geometry.clusterSize) {
      change(l2, l2IndexOf(geometry, guest) * geometry.l2EntryBytes, alignDown(guest, geometry.clusterSize));
    }
    await writeL2(transaction, l1, index, l2);
    await context.checkpoint((guest - start) / (end - start));
  }
}
