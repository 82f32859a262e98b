/**
 * A VHD image being written: fixed, or in blocks.
 *
 * @module
 */
import { type BlockTable, FREE } from "../shared/block_table.ts";
import { alignDown, alignUp, SECTOR, zeroes } from "../bytes.ts";
import type { DiskWriter, WriterTraits } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { readsZero, type UninitialisedBlocks, writeZeroes } from "../shared/uninitialised_blocks.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { TableCache } from "../shared/table_cache.ts";
import { setBits } from "./sector_bitmap.ts";

/** What the writers of fixed images need to know. */
export interface FixedTarget {
  readonly storage: WritableStorage;
  /** Guest bytes. */
  readonly size: number;
  /** Whether zeroes may become holes. */
  readonly isSparse: boolean;
  finish(): Promise<void>;
}

/** Writes a fixed image: guest bytes are file bytes. Without holes the caller has to write everything. */
export function fixedWriter({ storage, size, isSparse, finish }: FixedTarget): DiskWriter {
  return {
    traits: {
      size,
      clusterSize: 1,
      sector: SECTOR,
      logicalSectorSize: SECTOR,
      compress: false,
      order: "any",
      startsZeroed: isSparse && storage.startsZeroed,
      zeroes: isSparse && storage.zeroesCheaply ? "cheap" : "written",
    },
    write: (from, start) => storage.writeAt(from, start),
    locationFor: (start) => ({ storage, offset: start, end: size }),
    zero: (start, end) => isSparse ? storage.zeroAt(start, end) : writeZeroes(storage, start, end),
    finish,
  };
}

/** A dynamic or differencing image that is being written. */
export interface BlockTarget {
  readonly storage: WritableStorage;
  /** Guest bytes. */
  readonly size: number;
  readonly blockSize: number;
  readonly bitmapBytes: number;
  readonly table: BlockTable;
  /** New blocks; an area is known by the file offset of its first guest byte. */
  readonly fresh: UninitialisedBlocks;
  readonly isSparse: boolean;
  /** Sector bitmaps of an existing image; `null` for a new one, whose bits are all set. */
  readonly edited: EditedBitmaps | null;
  /** File offset where the last block ends. */
  end: number;
}

/** What editing adds. */
export interface EditedBitmaps {
  readonly bitmaps: TableCache;
  /** The parent, which shows through sectors whose bit is clear; null: none. */
  readonly parent: GuestReader | null;
  /** The guest bytes from `start` on as they are now. */
  read(into: Uint8Array, start: number): Promise<void>;
}

/** Writes blocks. Calls may overlap; they are carried out one after another. */
export function blockWriter(target: BlockTarget, startsZeroed: boolean, finish: () => Promise<void>): DiskWriter {
  const turn = serialize();
  const traits: WriterTraits = {
    size: target.size,
    clusterSize: target.blockSize,
    sector: SECTOR,
    logicalSectorSize: SECTOR,
    compress: false,
    order: "any",
    startsZeroed,
    zeroes: "cheap",
  };
  return {
    traits,
    write: (from, start) => turn(() => write(target, from, start)),
    zero: (start, end) => turn(() => zero(target, start, end)),
    finish: () => turn(finish),
  };
}

async function write(target: BlockTarget, from: Uint8Array, start: number): Promise<void> {
  const end = start + from.length;
  if (target.edited && (start % SECTOR !== 0 || end % SECTOR !== 0)) {
    return await writeSectors(target, target.edited, from, start);
  }
  for (let at = start; at < end;) {
    const partEnd = Math.min(end, alignDown(at, target.blockSize) + target.blockSize);
    await writePart(target, from.subarray(at - start, partEnd - start), at);
    at = partEnd;
  }
}

/** Writes what does not begin and end between sectors: one bit stands for a whole sector, so the rest of it is kept. */
async function writeSectors(
  target: BlockTarget,
  edited: EditedBitmaps,
  from: Uint8Array,
  start: number,
): Promise<void> {
  const first = alignDown(start, SECTOR);
  const whole = new Uint8Array(alignUp(start + from.length, SECTOR) - first);
  await edited.read(whole.subarray(0, SECTOR), first);
  await edited.read(whole.subarray(whole.length - SECTOR), first + whole.length - SECTOR);
  whole.set(from, start - first);
  await write(target, whole, first);
}

async function writePart(target: BlockTarget, part: Uint8Array, start: number): Promise<void> {
  const index = Math.floor(start / target.blockSize);
  const entry = (await target.table.load(index)).entry(index);
  const dataOffset = entry === FREE ? await allocate(target, index) : entry * SECTOR + target.bitmapBytes;
  const inside = start - index * target.blockSize;
  const fileStart = dataOffset + inside;
  await target.fresh.prepare(dataOffset, fileStart, fileStart + part.length);
  await target.storage.writeAt(part, fileStart);
  await mark(target, dataOffset, inside, inside + part.length);
}

async function zero(target: BlockTarget, start: number, end: number): Promise<void> {
  const first = target.edited ? Math.min(alignUp(start, SECTOR), end) : start;
  const last = target.edited ? Math.max(alignDown(end, SECTOR), first) : end;
  if (start < first) await write(target, zeroes(first - start), start);
  for (let at = first; at < last;) {
    const partEnd = Math.min(last, alignDown(at, target.blockSize) + target.blockSize);
    await zeroPart(target, at, partEnd);
    at = partEnd;
  }
  if (last < end) await write(target, zeroes(end - last), last);
}

async function zeroPart(target: BlockTarget, start: number, end: number): Promise<void> {
  const { table, blockSize, fresh, storage } = target;
  const parent = target.edited?.parent ?? null;
  const index = Math.floor(start / blockSize);
  const entry = (await table.load(index)).entry(index);
  if (entry === FREE && (parent === null || await readsZero(parent, start, end))) return;
  const dataOffset = entry === FREE ? await allocate(target, index) : entry * SECTOR + target.bitmapBytes;
  const inside = start - index * blockSize;
  const fileStart = dataOffset + inside;
  // What is not filled yet will be filled with zeroes.
  const fileEnd = Math.min(dataOffset + end - index * blockSize, fresh.initialisedEnd(dataOffset));
  if (fileStart < fileEnd) {
    await (target.isSparse ? storage.zeroAt(fileStart, fileEnd) : writeZeroes(storage, fileStart, fileEnd));
  }
  if (parent !== null) await mark(target, dataOffset, inside, end - index * blockSize);
}

/**
 * Allocates one more block at the end of the file; returns the file offset of its sector bitmap. There is no gap, neither
 * between the block allocation table and the first block nor between blocks, as in the files of QEMU and Virtual PC:
 * tools that add structures take a gap for the end of the data, and write over the sector bitmap behind it.
 */
export async function allocateAt(
  target: Pick<BlockTarget, "storage" | "bitmapBytes" | "blockSize" | "isSparse" | "end">,
): Promise<number> {
  const { storage, bitmapBytes, blockSize, end } = target;
  const start = alignUp(end, SECTOR);
  if (start / SECTOR >= FREE) {
    const message = `Cannot add a block to "${storage.label}": it would lie at ${start}, and VHD files end at 2 TiB`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  if (end < start) {
    if (!target.isSparse) await writeZeroes(storage, end, start);
    else if (!storage.startsZeroed) await storage.zeroAt(end, start);
  }
  target.end = start + bitmapBytes + blockSize;
  return start;
}

/** Adds block `index` at the end of the file; returns the file offset of its first guest byte. */
export async function allocate(target: BlockTarget, index: number): Promise<number> {
  const { storage, bitmapBytes, blockSize, edited } = target;
  const start = await allocateAt(target);
  const dataOffset = start + bitmapBytes;
  // Without a parent all bits of a block are set from the start: sectors never written are zero.
  const bits = edited?.parent ? 0 : 0xff;
  if (edited === null) await storage.writeAt(new Uint8Array(bitmapBytes).fill(bits), start);
  else await edited.bitmaps.make(start, ({ bytes }) => bytes.fill(bits));
  target.fresh.add(dataOffset, dataOffset + blockSize);
  await target.table.set(index, start / SECTOR);
  return dataOffset;
}

/** Sets the bits of the block's bytes `[start, end)`. */
async function mark(target: BlockTarget, dataOffset: number, start: number, end: number): Promise<void> {
  if (target.edited === null) return;
  const bitmapOffset = dataOffset - target.bitmapBytes;
  const { bitmaps } = target.edited;
  await bitmaps.look(bitmapOffset, ({ bytes }) => {
    if (setBits(bytes, start / SECTOR, Math.ceil(end / SECTOR))) bitmaps.markDirty(bitmapOffset);
  });
}
