/**
 * Writes guest bytes into an image, block by block.
 *
 * @module
 */
import { type BlockTable, FREE } from "../shared/block_table.ts";
import { alignDown, SECTOR } from "../bytes.ts";
import type { DiskWriter, WriterTraits } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { PIECE } from "../content.ts";
import { readsZero, type UninitialisedBlocks } from "../shared/uninitialised_blocks.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";
import { dataOffsetOf, DISCARDED, isAllocated } from "./block_map.ts";
import type { Header } from "./header.ts";

/** An image that is being written. */
export interface BlockTarget {
  readonly storage: WritableStorage;
  readonly header: Header;
  readonly map: BlockTable;
  /** New blocks, by the file offset of their first guest byte. */
  readonly uninitialised: UninitialisedBlocks;
  /** The parent, which shows in free blocks; `null` for none. */
  readonly parent: GuestReader | null;
  /** Allocates a file block and returns its number. */
  nextEntry(): number;
}

/** Returns the traits of a writer. Blocks are written in any order, and none is compressed. */
export function traitsOf(
  { size, blockSize }: Header,
  { startsZeroed, zeroes }: Pick<WriterTraits, "startsZeroed" | "zeroes">,
): WriterTraits {
  return {
    size,
    clusterSize: blockSize,
    sector: SECTOR,
    logicalSectorSize: SECTOR,
    compress: false,
    order: "any",
    startsZeroed,
    zeroes,
  };
}

/** Returns a writer of blocks. Overlapping calls run one after another. */
export function blockWriter(target: BlockTarget, startsZeroed: boolean, finish: () => Promise<void>): DiskWriter {
  const exclusive = serialize();
  const { blockSize } = target.header;
  const parts = async (start: number, end: number, action: (start: number, end: number) => Promise<void>) => {
    for (let at = start; at < end;) {
      const partEnd = Math.min(end, alignDown(at, blockSize) + blockSize);
      await action(at, partEnd);
      at = partEnd;
    }
  };
  return {
    traits: traitsOf(target.header, { startsZeroed, zeroes: "cheap" }),
    write: (from, start) =>
      exclusive(() =>
        parts(start, start + from.length, (at, end) => writePart(target, from.subarray(at - start, end - start), at))
      ),
    zero: (start, end) => exclusive(() => parts(start, end, (at, partEnd) => zeroPart(target, at, partEnd))),
    finish: () => exclusive(finish),
  };
}

async function writePart(target: BlockTarget, part: Uint8Array, start: number): Promise<void> {
  const { map, header, storage } = target;
  const index = Math.floor(start / header.blockSize);
  const entry = (await map.load(index)).entry(index);
  const end = start + part.length;
  const dataOffset = isAllocated(entry)
    ? dataOffsetOf(header, entry)
    : await allocateAndCopy(target, index, entry, start, end);
  const fileStart = dataOffset + start - index * header.blockSize;
  await target.uninitialised.prepare(dataOffset, fileStart, fileStart + part.length);
  await storage.writeAt(part, fileStart);
}

async function zeroPart(target: BlockTarget, start: number, end: number): Promise<void> {
  const { map, header, parent, storage } = target;
  const index = Math.floor(start / header.blockSize);
  const entry = (await map.load(index)).entry(index);
  if (entry === DISCARDED || entry === FREE && (parent === null || await readsZero(parent, start, end))) return;
  const blockStart = index * header.blockSize;
  const isWhole = start === blockStart && end === Math.min(blockStart + header.blockSize, header.size);
  if (entry === FREE) {
    // The unwritten bytes of a new block become zeroes.
    if (isWhole) await map.set(index, DISCARDED);
    else await allocateAndCopy(target, index, entry, start, end);
    return;
  }
  const dataOffset = dataOffsetOf(header, entry);
  const fileStart = dataOffset + start - blockStart;
  const fileEnd = Math.min(fileStart + end - start, target.uninitialised.initialisedEnd(dataOffset));
  if (fileStart < fileEnd) await storage.zeroAt(fileStart, fileEnd);
}

/** Allocates block `index`; returns the file offset of its first guest byte. */
export async function allocate(
  { header, storage, uninitialised, map, nextEntry }: BlockTarget,
  index: number,
): Promise<number> {
  const { blockSize, extraBytes } = header;
  const entry = nextEntry();
  const dataOffset = dataOffsetOf(header, entry);
  if (extraBytes > 0) await storage.zeroAt(dataOffset - extraBytes, dataOffset);
  uninitialised.add(dataOffset, dataOffset + blockSize);
  await map.set(index, entry);
  return dataOffset;
}

/**
 * Allocates block `index`, whose entry was `old`, and copies the bytes of the parent into it, except for the guest bytes
 * `[start, end)`, which the caller writes.
 */
async function allocateAndCopy(
  target: BlockTarget,
  index: number,
  old: number,
  start: number,
  end: number,
): Promise<number> {
  const { header: { blockSize }, parent } = target;
  const dataOffset = await allocate(target, index);
  if (parent === null || old !== FREE) return dataOffset;
  const blockStart = index * blockSize;
  const distance = dataOffset - blockStart;
  await copyUp(target, parent, blockStart, start, distance);
  await copyUp(target, parent, end, Math.min(blockStart + blockSize, parent.size), distance);
  return dataOffset;
}

/** Copies the guest bytes `[start, end)` of the parent to file offset `start + distance`. */
async function copyUp(
  target: BlockTarget,
  parent: GuestReader,
  start: number,
  end: number,
  distance: number,
): Promise<void> {
  const block = distance + alignDown(start, target.header.blockSize);
  for (let at = start; at < end; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, end - at));
    await parent.read(piece, at);
    await target.uninitialised.prepare(block, at + distance, at + distance + piece.length);
    await target.storage.writeAt(piece, at + distance);
  }
}
