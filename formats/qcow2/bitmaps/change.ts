/**
 * Adding, removing and changing persistent bitmaps (specification, "Bitmaps"), in one transaction.
 *
 * @module
 */
import { setU64 } from "../../bytes.ts";
import { ImageError } from "../../errors.ts";
import type { ChangeContext } from "../../maintenance.ts";
import type { BitmapAction, BitmapSource } from "../../bitmaps.ts";
import type { WritableStorage } from "../../storage/types.ts";
import { BITMAP_FLAG, bitmapBytes, type BitmapEntry, DIRTY_TRACKING, readBitmapDirectory } from "./read.ts";
import { readTable, releaseBits, writeDirectory } from "./resize.ts";
import { fillBits } from "./track.ts";
import { checkBitmap } from "./write.ts";
import { readHeader } from "../header/header.ts";
import { hostOffsetOf } from "../mapping/l2_entry.ts";
import { beginTransaction, type Transaction } from "../transaction/transaction.ts";
import { refuseCorrupt } from "../refuse_corrupt.ts";

/**
 * Applies `actions` to the bitmap `name`: all of them, or none.
 *
 * @throws ImageError `missing` for a bitmap that does not exist; `usage` for one that already exists or for invalid
 * parameters; `unsupported` for an inconsistent bitmap, which can only be removed
 */
export async function applyBitmapActions(
  storage: WritableStorage,
  name: string,
  actions: readonly BitmapAction[],
  context: ChangeContext,
): Promise<void> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  const transaction = await beginTransaction(storage, header, context);
  // Another program may have reused the clusters of inconsistent bitmaps.
  let entries = header.bitmapsConsistent ? await readBitmapDirectory(storage, header) : [];
  for (const action of actions) entries = await applyAction(transaction, entries, name, action);
  const bitmaps = await writeDirectory(transaction, entries);
  await transaction.commit({ bitmaps, bitmapsConsistent: bitmaps !== null });
}

async function applyAction(
  transaction: Transaction,
  entries: BitmapEntry[],
  name: string,
  action: BitmapAction,
): Promise<BitmapEntry[]> {
  if (action.action === "add") return [...entries, await addBitmap(transaction, entries, name, action)];
  const entry = entries.find((one) => one.name === name);
  if (entry === undefined) throw missingBitmap(transaction, entries, name, action.action);
  if (action.action === "remove") {
    await releaseBitmap(transaction, entry);
    return entries.filter((one) => one !== entry);
  }
  if ((entry.flags & BITMAP_FLAG.inUse) !== 0) throw inconsistentBitmap(transaction, name, action.action);
  const changed = await changeBitmap(transaction, entry, action);
  return entries.map((one) => one === entry ? changed : one);
}

function missingBitmap(
  { storage }: Transaction,
  entries: readonly BitmapEntry[],
  name: string,
  action: string,
): ImageError {
  const there = entries.length === 0
    ? "the image has none"
    : `it has ${entries.map((one) => `"${one.name}"`).join(", ")}`;
  return new ImageError("missing", `Cannot ${action} the bitmap "${name}" of "${storage.label}": ${there}`, {
    path: storage.label,
  });
}

function inconsistentBitmap({ storage }: Transaction, name: string, action: string): ImageError {
  const message =
    `Cannot ${action} the bitmap "${name}" of "${storage.label}": it is inconsistent, and can only be removed`;
  return new ImageError("unsupported", message, { path: storage.label });
}

async function addBitmap(
  transaction: Transaction,
  entries: readonly BitmapEntry[],
  name: string,
  { granularity, enabled }: BitmapAction & { readonly action: "add" },
): Promise<BitmapEntry> {
  const { header, storage, geometry: { clusterSize } } = transaction;
  const bytes = granularity ?? Math.min(65536, Math.max(4096, clusterSize));
  checkBitmap({ header, storage }, { name, granularity: bytes, inconsistent: false }, entries);
  const entry: BitmapEntry = {
    name,
    table: { fileOffset: 0, entries: 0 },
    flags: enabled ? BITMAP_FLAG.auto : 0,
    type: DIRTY_TRACKING,
    granularityBits: Math.log2(bytes),
    extra: new Uint8Array(0),
  };
  return await withEmptyTable(transaction, entry);
}

async function withEmptyTable(transaction: Transaction, entry: BitmapEntry): Promise<BitmapEntry> {
  const { header, geometry: { clusterSize } } = transaction;
  const entries = Math.ceil(bitmapBytes(header.size, entry.granularityBits) / clusterSize);
  const fileOffset = entries === 0 ? 0 : await transaction.write(new Uint8Array(entries * 8));
  return { ...entry, table: { fileOffset, entries } };
}

async function releaseBitmap(transaction: Transaction, entry: BitmapEntry): Promise<void> {
  const table = await readTable(transaction, entry);
  for (let index = 0; index < entry.table.entries; index++) await releaseBits(transaction, table, index);
  await transaction.release(entry.table.fileOffset, entry.table.entries * 8);
}

async function changeBitmap(
  transaction: Transaction,
  entry: BitmapEntry,
  action: Exclude<BitmapAction, { readonly action: "add" }>,
): Promise<BitmapEntry> {
  switch (action.action) {
    case "enable":
      return { ...entry, flags: entry.flags | BITMAP_FLAG.auto };
    case "disable":
      return { ...entry, flags: entry.flags & ~BITMAP_FLAG.auto };
    case "merge":
      return await mergeBitmap(transaction, entry, action.from);
    default:
      await releaseBitmap(transaction, entry);
      return await withEmptyTable(transaction, entry);
  }
}

/** A bitmap table whose clusters are copied before they change. */
interface OpenTable {
  readonly transaction: Transaction;
  readonly view: DataView;
  /** Index of the cluster in `bits`; -1 for none. */
  index: number;
  bits: Uint8Array;
}

async function mergeBitmap(transaction: Transaction, entry: BitmapEntry, from: BitmapSource): Promise<BitmapEntry> {
  const { storage, header, geometry: { clusterSize } } = transaction;
  if (from.size !== header.size) {
    const message = `Cannot merge the bitmap "${from.name}" into "${entry.name}" of "${storage.label}": its disk has ` +
      `${from.size} bytes, and this one has ${header.size}`;
    throw new ImageError("usage", message, { path: storage.label });
  }
  if (entry.table.entries === 0) return entry;
  const table: OpenTable = {
    transaction,
    view: await readTable(transaction, entry),
    index: -1,
    bits: new Uint8Array(0),
  };
  const granularity = 2 ** entry.granularityBits;
  const count = Math.ceil(header.size / granularity);
  const perCluster = clusterSize * 8;
  for await (const { offset, bits } of from.pieces()) {
    for (const [first, last] of setBitRanges(bits)) {
      const start = Math.floor((offset * 8 + first) * from.granularity / granularity);
      const end = Math.min(count, Math.ceil((offset * 8 + last) * from.granularity / granularity));
      for (let bit = start; bit < end;) {
        const index = Math.floor(bit / perCluster);
        if (index !== table.index) await load(table, index);
        const to = Math.min(end, (index + 1) * perCluster);
        fillBits(table.bits, bit - index * perCluster, to - index * perCluster);
        bit = to;
      }
    }
    await transaction.context.checkpoint(Math.min(1, offset * 8 * from.granularity / header.size));
  }
  await store(table);
  await transaction.release(entry.table.fileOffset, entry.table.entries * 8);
  const bytes = new Uint8Array(table.view.buffer, table.view.byteOffset, table.view.byteLength);
  return { ...entry, table: { ...entry.table, fileOffset: await transaction.write(bytes) } };
}

/** Returns the ranges of set bits, each as its first bit and the bit after its last. Pure. */
export function* setBitRanges(bits: Uint8Array): Generator<readonly [number, number]> {
  let first = -1;
  for (let byte = 0; byte < bits.length; byte++) {
    const value = bits[byte]!;
    if (value === (first < 0 ? 0 : 0xff)) continue;
    for (let bit = 0; bit < 8; bit++) {
      const set = (value >>> bit & 1) !== 0;
      if (set && first < 0) first = byte * 8 + bit;
      else if (!set && first >= 0) {
        yield [first, byte * 8 + bit];
        first = -1;
      }
    }
  }
  if (first >= 0) yield [first, bits.length * 8];
}

async function load(table: OpenTable, index: number): Promise<void> {
  await store(table);
  const { transaction: { storage, geometry: { clusterSize } }, view } = table;
  const [high, low] = [view.getUint32(index * 8), view.getUint32(index * 8 + 4)];
  const fileOffset = hostOffsetOf(high, low);
  table.index = index;
  table.bits = new Uint8Array(clusterSize);
  if (fileOffset !== 0) await storage.readAt(table.bits, fileOffset);
  else if ((low & 1) !== 0) table.bits.fill(0xff);
}

/** Writes the loaded bits into a new cluster. */
async function store(table: OpenTable): Promise<void> {
  const { transaction, view, index, bits } = table;
  if (index < 0) return;
  await releaseBits(transaction, view, index);
  setU64(view, index * 8, await transaction.write(bits));
}
