/**
 * Room for a longer block allocation table: what lies behind it in the file moves to the end.
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

/** Bytes that the table of a disk of `size` guest bytes takes, whole sectors. */
export function tableBytesFor({ header }: Blocks, size: number): number {
  return alignUp(ceilDiv(size, header.blockSize) * 4, SECTOR);
}

/**
 * Moves blocks and names of a parent that lie where the table of a disk of `size` guest bytes is going to be, and a last
 * block that the file cuts off. The disk stays as it is, byte for byte. The copies are on stable storage before anything
 * refers to them, and a footer is behind them.
 *
 * @throws ImageError `unsupported` where the structures lie in an order that no known writer uses
 */
export async function makeRoom(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  size: number,
  isSparse: boolean,
  context: CheckContext,
): Promise<void> {
  const area = {
    start: blocks.header.tableOffset,
    end: blocks.header.tableOffset + tableBytesFor(blocks, size),
  };
  refuseHeaderIn(area, blocks);
  const end = Math.max(alignUp(storage.size, SECTOR), area.end);
  const place = { storage, bitmapBytes: blocks.bitmapBytes, blockSize: blocks.header.blockSize, isSparse, end };
  const moved = await copyBlocks(blocks, area, image.endOffset, place, context);
  const header = await moveNames(storage, blocks.headerOffset, area, place);
  if (place.end === end) return;
  await storage.writeAt(image.bytes, place.end);
  await storage.sync();
  for (const [index, start] of moved) await blocks.table.set(index, start / SECTOR);
  await blocks.table.flush();
  if (header !== null) await storage.writeAt(header, blocks.headerOffset);
  await storage.sync();
}

interface Area {
  readonly start: number;
  readonly end: number;
}

function inArea({ start, end }: Area, from: number, to: number): boolean {
  return from < end && start < to;
}

function refuseHeaderIn(area: Area, { storage: { label }, headerOffset }: Blocks): void {
  if (!inArea(area, headerOffset, headerOffset + HEADER_BYTES)) return;
  const message = `Cannot resize "${label}": its dynamic disk header lies behind its block allocation table, ` +
    `which has no room to grow; convert it into a new image`;
  throw new ImageError("unsupported", message, { path: label, offset: headerOffset });
}

/** Copies the blocks in `area` and behind `fileEnd`. Returns where they are to lie, by index. */
async function copyBlocks(
  blocks: Blocks,
  area: Area,
  fileEnd: number,
  place: Parameters<typeof allocateAt>[0],
  { checkpoint }: CheckContext,
): Promise<Map<number, number>> {
  const { storage } = place;
  const { table, bitmapBytes, header: { blockSize } } = blocks;
  const used = storage.size;
  const moved = new Map<number, number>();
  for (let index = 0; index < table.entries; index++) {
    const from = blockOffset(blocks, await table.load(index), index);
    if (from === null) continue;
    const to = from + bitmapBytes + blockSize;
    if (!inArea(area, from, to) && to <= fileEnd) continue;
    const target = await allocateAt(place);
    await copy(storage, from, Math.min(to, used), target);
    if (to > used) await storage.zeroAt(target + used - from, target + to - from);
    moved.set(index, target);
    await checkpoint();
  }
  return moved;
}

/** The names of the parent. Returns the header that says where they lie now; `null` where none was in the way. */
async function moveNames(
  storage: WritableStorage,
  headerOffset: number,
  area: Area,
  place: { end: number },
): Promise<Uint8Array | null> {
  const header = new Uint8Array(HEADER_BYTES);
  await storage.readAt(header, headerOffset);
  let moved = false;
  for (const [index, { length, fileOffset }] of decodeLocators(header).entries()) {
    if (length === 0 || fileOffset + length > storage.size) continue;
    if (!inArea(area, fileOffset, fileOffset + length)) continue;
    await copy(storage, fileOffset, fileOffset + length, place.end);
    setLocatorOffset(header, index, place.end);
    place.end += alignUp(length, SECTOR);
    moved = true;
  }
  if (!moved) return null;
  sealHeader(header);
  return header;
}

/** Copies the file bytes `[start, end)` to `target` on. */
export async function copy(storage: WritableStorage, start: number, end: number, target: number): Promise<void> {
  for (let at = start; at < end; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, end - at));
    await storage.readAt(piece, at);
    await storage.writeAt(piece, target + at - start);
  }
}
