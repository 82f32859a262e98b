/**
 * Makes room for a longer BAT: moves blocks and parent locators behind it to the end of the file.
 *
 * @module
 */
import { alignUp, ceilDiv, SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { PIECE } from "../content.ts";
import type { CheckContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { HEADER_BYTES, sealHeader } from "./dynamic_header.ts";
import { blockOffset, type Blocks, type VpcImage } from "./structures.ts";
import { decodeLocators, setLocatorOffset } from "./parent_locator.ts";
import { allocateAt } from "./writer.ts";

/** Returns the bytes of the BAT of a disk of `size` guest bytes, in whole sectors. */
export function batBytesFor({ header }: Blocks, size: number): number {
  return alignUp(ceilDiv(size, header.blockSize) * 4, SECTOR);
}

/**
 * Moves blocks and parent locators that lie before `areaEnd`, where a longer BAT and a batmap will lie, and a last block
 * that the end of the file truncates. The guest bytes stay the same. The copies and a footer behind them are on stable
 * storage before BAT and header refer to them.
 *
 * @throws ImageError `unsupported` where the dynamic disk header or an unknown structure lies there
 */
export async function makeRoomForBat(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  areaEnd: number,
  isSparse: boolean,
  context: CheckContext,
): Promise<void> {
  const area = { start: blocks.header.tableOffset, end: areaEnd };
  refuseStructureIn(area, blocks);
  const end = Math.max(alignUp(storage.size, SECTOR), area.end);
  const allocator = { storage, bitmapBytes: blocks.bitmapBytes, blockSize: blocks.header.blockSize, isSparse, end };
  const moved = await copyBlocks(blocks, area, image.endOffset, allocator, context);
  const header = await moveParentLocators(storage, blocks.headerOffset, area, allocator);
  if (allocator.end === end) return;
  await storage.writeAt(image.bytes, allocator.end);
  await storage.sync();
  for (const [index, start] of moved) await blocks.bat.set(index, start / SECTOR);
  await blocks.bat.flush();
  if (header !== null) await storage.writeAt(header, blocks.headerOffset);
  await storage.sync();
}

interface Area {
  readonly start: number;
  readonly end: number;
}

function overlapsArea({ start, end }: Area, from: number, to: number): boolean {
  return from < end && start < to;
}

function refuseStructureIn(area: Area, { storage: { label }, headerOffset, header: { nextOffset } }: Blocks): void {
  if (nextOffset !== null && nextOffset < area.end) {
    const message =
      `Cannot change "${label}": its dynamic disk header refers to an unknown structure at ${nextOffset}, ` +
      `where the block allocation table must grow; convert it into a new image`;
    throw new ImageError("unsupported", message, { path: label, offset: nextOffset });
  }
  if (!overlapsArea(area, headerOffset, headerOffset + HEADER_BYTES)) return;
  const message = `Cannot resize "${label}": its dynamic disk header lies behind its block allocation table, ` +
    `which has no room to grow; convert it into a new image`;
  throw new ImageError("unsupported", message, { path: label, offset: headerOffset });
}

/** Copies the blocks in `area`, and those that end behind `fileEnd`. Returns the new file offsets by block. */
async function copyBlocks(
  blocks: Blocks,
  area: Area,
  fileEnd: number,
  allocator: Parameters<typeof allocateAt>[0],
  { checkpoint }: CheckContext,
): Promise<Map<number, number>> {
  const { storage } = allocator;
  const { bat, bitmapBytes, header: { blockSize } } = blocks;
  const used = storage.size;
  const moved = new Map<number, number>();
  for (let index = 0; index < bat.entries; index++) {
    const from = blockOffset(blocks, await bat.load(index), index);
    if (from === null) continue;
    const to = from + bitmapBytes + blockSize;
    if (!overlapsArea(area, from, to) && to <= fileEnd) continue;
    const target = await allocateAt(allocator);
    await copy(storage, from, Math.min(to, used), target);
    if (to > used) await storage.zeroAt(target + used - from, target + to - from);
    moved.set(index, target);
    await checkpoint();
  }
  return moved;
}

/** Copies the parent locators in `area`. Returns the header with their new file offsets; `null` if none lies there. */
async function moveParentLocators(
  storage: WritableStorage,
  headerOffset: number,
  area: Area,
  allocator: { end: number },
): Promise<Uint8Array | null> {
  const header = new Uint8Array(HEADER_BYTES);
  await storage.readAt(header, headerOffset);
  let moved = false;
  for (const [index, { length, fileOffset }] of decodeLocators(header).entries()) {
    if (length === 0 || fileOffset + length > storage.size) continue;
    if (!overlapsArea(area, fileOffset, fileOffset + length)) continue;
    await copy(storage, fileOffset, fileOffset + length, allocator.end);
    setLocatorOffset(header, index, allocator.end);
    allocator.end += alignUp(length, SECTOR);
    moved = true;
  }
  if (!moved) return null;
  sealHeader(header);
  return header;
}

/** Copies the file bytes `[start, end)` to file offset `target`. */
export async function copy(storage: WritableStorage, start: number, end: number, target: number): Promise<void> {
  for (let at = start; at < end; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, end - at));
    await storage.readAt(piece, at);
    await storage.writeAt(piece, target + at - start);
  }
}
