/**
 * Writes guest bytes into an image.
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

/** A fixed image that is being written. */
export interface FixedTarget {
  readonly storage: WritableStorage;
  /** Guest bytes. */
  readonly size: number;
  /** Whether zeroes may become holes. */
  readonly isSparse: boolean;
  finish(): Promise<void>;
}

/**
 * Returns a writer of a fixed image, where guest offsets are file offsets. Without holes the caller writes all bytes.
 */
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
  readonly bat: BlockTable;
  /** New blocks, by the file offset of their first guest byte. */
  readonly uninitialised: UninitialisedBlocks;
  readonly isSparse: boolean;
  /** Sector bitmaps of an existing image; `null` for a new image, whose bits are all set. */
  readonly edited: BitmapEdits | null;
  /** File offset where the last block ends. */
  end: number;
}

/** The sector bitmaps and the parent of an existing image. */
export interface BitmapEdits {
  readonly bitmaps: TableCache;
  /** The parent, which shows in sectors whose bit is clear; `null` for none. */
  readonly parent: GuestReader | null;
  /** Reads the present guest bytes from `start` on. */
  read(into: Uint8Array, start: number): Promise<void>;
}

/** Returns a writer of blocks. Overlapping calls run one after another. */
export function blockWriter(target: BlockTarget, startsZeroed: boolean, finish: () => Promise<void>): DiskWriter {
  const exclusive = serialize();
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
    write: (from, start) => exclusive(() => write(target, from, start)),
    zero: (start, end) => exclusive(() => zero(target, start, end)),
    finish: () => exclusive(finish),
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

/** Writes bytes that begin or end inside a sector: the rest of the sector is read first, because its bit covers it. */
async function writeSectors(
  target: BlockTarget,
  edited: BitmapEdits,
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
  const entry = (await target.bat.load(index)).entry(index);
  const dataOffset = entry === FREE ? await allocate(target, index) : entry * SECTOR + target.bitmapBytes;
  const inside = start - index * target.blockSize;
  const fileStart = dataOffset + inside;
  await target.uninitialised.prepare(dataOffset, fileStart, fileStart + part.length);
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
  const { bat, blockSize, uninitialised, storage } = target;
  const parent = target.edited?.parent ?? null;
  const index = Math.floor(start / blockSize);
  const entry = (await bat.load(index)).entry(index);
  if (entry === FREE && (parent === null || await readsZero(parent, start, end))) return;
  const dataOffset = entry === FREE ? await allocate(target, index) : entry * SECTOR + target.bitmapBytes;
  const inside = start - index * blockSize;
  const fileStart = dataOffset + inside;
  // Bytes that are not initialised yet become zeroes anyway.
  const fileEnd = Math.min(dataOffset + end - index * blockSize, uninitialised.initialisedEnd(dataOffset));
  if (fileStart < fileEnd) {
    await (target.isSparse ? storage.zeroAt(fileStart, fileEnd) : writeZeroes(storage, fileStart, fileEnd));
  }
  if (parent !== null) await mark(target, dataOffset, inside, end - index * blockSize);
}

/**
 * Allocates a block at the end of the file; returns the file offset of its sector bitmap. There is no gap, neither
 * between the block allocation table and the first block nor between blocks, as in the files of QEMU and Virtual PC:
 * other tools mistake a gap for the end of the data, and write structures over the sector bitmap behind it.
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

/** Allocates block `index` at the end of the file; returns the file offset of its first guest byte. */
export async function allocate(target: BlockTarget, index: number): Promise<number> {
  const { storage, bitmapBytes, blockSize, edited } = target;
  const start = await allocateAt(target);
  const dataOffset = start + bitmapBytes;
  // Without a parent all bits of a block are set from the start: sectors never written are zero.
  const bits = edited?.parent ? 0 : 0xff;
  if (edited === null) await storage.writeAt(new Uint8Array(bitmapBytes).fill(bits), start);
  else await edited.bitmaps.make(start, ({ bytes }) => bytes.fill(bits));
  target.uninitialised.add(dataOffset, dataOffset + blockSize);
  await target.bat.set(index, start / SECTOR);
  return dataOffset;
}

/** Sets the bits of the bytes `[start, end)` of a block. */
async function mark(target: BlockTarget, dataOffset: number, start: number, end: number): Promise<void> {
  if (target.edited === null) return;
  const bitmapOffset = dataOffset - target.bitmapBytes;
  const { bitmaps } = target.edited;
  await bitmaps.look(bitmapOffset, ({ bytes }) => {
    if (setBits(bytes, start / SECTOR, Math.ceil(end / SECTOR))) bitmaps.markDirty(bitmapOffset);
  });
}
