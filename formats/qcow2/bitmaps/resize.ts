/**
 * Bitmaps of a disk whose size changes: each table gets as many entries as the new size needs.
 *
 * @module
 */
import { setU64, viewOf } from "../../bytes.ts";
import { ImageError } from "../../errors.ts";
import { BITMAP_FLAG, bitmapBytes, type BitmapEntry, clearBitsFrom, readBitmapDirectory } from "./read.ts";
import { directoryBytes } from "./write.ts";
import type { Header } from "../header/header.ts";
import { hostOffsetOf } from "../mapping/l2_entry.ts";
import type { Transaction } from "../transaction/transaction.ts";

/**
 * Resizes the bitmaps for a disk of `size` guest bytes. New bits are clear.
 *
 * @returns the changed header fields
 * @throws ImageError `unsupported` for an inconsistent bitmap
 */
export async function resizeBitmaps(transaction: Transaction, size: number): Promise<Partial<Header>> {
  const { header, storage } = transaction;
  if (header.bitmaps === null || !header.bitmapsConsistent) return {};
  const entries = await readBitmapDirectory(storage, header);
  const broken = entries.find(({ flags }) => (flags & BITMAP_FLAG.inUse) !== 0);
  if (broken) {
    const message = `Cannot resize "${storage.label}": its bitmap "${broken.name}" is inconsistent; remove it first`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const resized: BitmapEntry[] = [];
  for (const entry of entries) resized.push(await resizeBitmap(transaction, entry, size));
  return { bitmaps: await writeDirectory(transaction, resized) };
}

/** Writes a directory in place of the old one. Returns null for no bitmaps. */
export async function writeDirectory(
  transaction: Transaction,
  entries: readonly BitmapEntry[],
): Promise<Header["bitmaps"]> {
  const { header } = transaction;
  if (header.bitmaps !== null && header.bitmapsConsistent) {
    await transaction.release(header.bitmaps.directoryFileOffset, header.bitmaps.directorySize);
  }
  if (entries.length === 0) return null;
  const bytes = directoryBytes(entries);
  return { count: entries.length, directorySize: bytes.length, directoryFileOffset: await transaction.write(bytes) };
}

async function resizeBitmap(transaction: Transaction, entry: BitmapEntry, size: number): Promise<BitmapEntry> {
  const { storage, geometry: { clusterSize } } = transaction;
  const count = Math.ceil(bitmapBytes(size, entry.granularityBits) / clusterSize);
  const old = await readTable(transaction, entry);
  const bytes = new Uint8Array(count * 8);
  bytes.set(new Uint8Array(old.buffer).subarray(0, bytes.length));
  for (let index = count; index < entry.table.entries; index++) await releaseBits(transaction, old, index);
  const view = viewOf(bytes);
  const last = count - 1;
  const fileOffset = count === 0 ? 0 : hostOffsetOf(view.getUint32(last * 8), view.getUint32(last * 8 + 4));
  if (fileOffset !== 0 && size < transaction.header.size) {
    const bits = new Uint8Array(clusterSize);
    await storage.readAt(bits, fileOffset);
    clearBitsFrom(bits, Math.ceil(size / 2 ** entry.granularityBits) - last * clusterSize * 8);
    await transaction.addReferences(fileOffset, -1, "bits of a bitmap");
    setU64(view, last * 8, await transaction.write(bits));
  }
  await transaction.release(entry.table.fileOffset, entry.table.entries * 8);
  return { ...entry, table: { fileOffset: count === 0 ? 0 : await transaction.write(bytes), entries: count } };
}

/** Reads the table of a bitmap. */
export async function readTable({ storage }: Transaction, { table }: BitmapEntry): Promise<DataView> {
  const bytes = new Uint8Array(table.entries * 8);
  if (bytes.length > 0) await storage.readAt(bytes, table.fileOffset);
  return viewOf(bytes);
}

/** Releases the cluster of bits that entry `index` of a table points at. */
export async function releaseBits(transaction: Transaction, table: DataView, index: number): Promise<void> {
  const fileOffset = hostOffsetOf(table.getUint32(index * 8), table.getUint32(index * 8 + 4));
  if (fileOffset !== 0) await transaction.addReferences(fileOffset, -1, "bits of a bitmap");
}
