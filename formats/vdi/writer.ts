/**
 * A VDI image being written, block by block.
 *
 * @module
 */
import { type BlockTable, FREE } from "../shared/block_table.ts";
import { alignDown, SECTOR } from "../bytes.ts";
import type { DiskWriter } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { PIECE } from "../content.ts";
import { readsZero, type UninitialisedBlocks } from "../shared/uninitialised_blocks.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";
import { dataOffsetOf, DISCARDED, isAllocated } from "./open.ts";
import type { Header } from "./header.ts";

/** An image that is being written. */
export interface BlockTarget {
  readonly storage: WritableStorage;
  readonly header: Header;
  readonly map: BlockTable;
  /** New blocks; an area is known by the file offset of its first guest byte. */
  readonly fresh: UninitialisedBlocks;
  /** What shows through free blocks; `null` where nothing is beneath. */
  readonly below: GuestReader | null;
  /** The entry for a new block. */
  nextEntry(): number;
}

/** Writes blocks. Calls may overlap; they are carried out one after another. */
export function blockWriter(target: BlockTarget, startsZeroed: boolean, finish: () => Promise<void>): DiskWriter {
  const turn = serialize();
  const { size, blockSize } = target.header;
  const parts = async (start: number, end: number, action: (start: number, end: number) => Promise<void>) => {
    for (let at = start; at < end;) {
      const partEnd = Math.min(end, alignDown(at, blockSize) + blockSize);
      await action(at, partEnd);
      at = partEnd;
    }
  };
  return {
    traits: {
      size,
      clusterSize: blockSize,
      sector: SECTOR,
      compress: false,
      order: "any",
      startsZeroed,
      zeroes: "cheap",
    },
    write: (from, start) =>
      turn(() =>
        parts(start, start + from.length, (at, end) => writePart(target, from.subarray(at - start, end - start), at))
      ),
    zero: (start, end) => turn(() => parts(start, end, (at, partEnd) => zeroPart(target, at, partEnd))),
    finish: () => turn(finish),
  };
}

async function writePart(target: BlockTarget, part: Uint8Array, start: number): Promise<void> {
  const { map, header, storage } = target;
  const index = Math.floor(start / header.blockSize);
  const entry = (await map.load(index)).entry(index);
  const end = start + part.length;
  const dataOffset = isAllocated(entry)
    ? dataOffsetOf(header, entry)
    : await allocateAround(target, index, entry, start, end);
  const fileStart = dataOffset + start - index * header.blockSize;
  await target.fresh.prepare(dataOffset, fileStart, fileStart + part.length);
  await storage.writeAt(part, fileStart);
}

async function zeroPart(target: BlockTarget, start: number, end: number): Promise<void> {
  const { map, header, below, storage } = target;
  const index = Math.floor(start / header.blockSize);
  const entry = (await map.load(index)).entry(index);
  if (entry === DISCARDED || entry === FREE && (below === null || await readsZero(below, start, end))) return;
  const blockStart = index * header.blockSize;
  const isWhole = start === blockStart && end === Math.min(blockStart + header.blockSize, header.size);
  if (entry === FREE) {
    // A new block is filled with zeroes where nothing is written.
    if (isWhole) await map.set(index, DISCARDED);
    else await allocateAround(target, index, entry, start, end);
    return;
  }
  const dataOffset = dataOffsetOf(header, entry);
  const fileStart = dataOffset + start - blockStart;
  const fileEnd = Math.min(fileStart + end - start, target.fresh.initialisedEnd(dataOffset));
  if (fileStart < fileEnd) await storage.zeroAt(fileStart, fileEnd);
}

/** Gives block `index` a place; returns the file offset of its first guest byte. */
export async function allocate(
  { header, storage, fresh, map, nextEntry }: BlockTarget,
  index: number,
): Promise<number> {
  const { blockSize, extraBytes } = header;
  const entry = nextEntry();
  const dataOffset = dataOffsetOf(header, entry);
  if (extraBytes > 0) await storage.zeroAt(dataOffset - extraBytes, dataOffset);
  fresh.add(dataOffset, dataOffset + blockSize);
  await map.set(index, entry);
  return dataOffset;
}

/**
 * Gives block `index`, whose entry was `old`, a place. What shows through it outside the guest bytes `[start, end)`, which
 * are about to be written, is copied up.
 */
async function allocateAround(
  target: BlockTarget,
  index: number,
  old: number,
  start: number,
  end: number,
): Promise<number> {
  const { header: { blockSize }, below } = target;
  const dataOffset = await allocate(target, index);
  if (below === null || old !== FREE) return dataOffset;
  const blockStart = index * blockSize;
  const move = dataOffset - blockStart;
  await copyUp(target, below, blockStart, start, move);
  await copyUp(target, below, end, Math.min(blockStart + blockSize, below.size), move);
  return dataOffset;
}

/** Copies the guest bytes `[start, end)` from beneath, to file offset `start + move` on. */
async function copyUp(
  target: BlockTarget,
  below: GuestReader,
  start: number,
  end: number,
  move: number,
): Promise<void> {
  const area = move + alignDown(start, target.header.blockSize);
  for (let at = start; at < end; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, end - at));
    await below.read(piece, at);
    await target.fresh.prepare(area, at + move, at + move + piece.length);
    await target.storage.writeAt(piece, at + move);
  }
}
