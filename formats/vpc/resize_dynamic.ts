/**
 * Another size for the disk of a dynamic or differencing image.
 *
 * @module
 */
import { FREE, openBlockTable } from "../shared/block_table.ts";
import { alignUp, ceilDiv, SECTOR } from "../bytes.ts";
import { hasNoHoles } from "../shared/uninitialised_blocks.ts";
import { fillWithZeroes, truncateOnFailure, zeroMethodFor, zeroNewEnd } from "../shared/growth.ts";
import type { ChangeContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { HEADER_BYTES, setTableEntries } from "./dynamic_header.ts";
import { editing } from "./edit.ts";
import { endOfBlocks, refuseManyBlocks } from "./block_locations.ts";
import { FOOTER_BYTES, resizedFooter } from "./footer.ts";
import { mendCopy, writeFooters } from "./footer_copies.ts";
import { type Blocks, readImage, type VpcImage } from "./structures.ts";
import { makeRoom, tableBytesFor } from "./move_blocks.ts";
import { parentOf } from "./parent_locator.ts";
import { truncateUnused } from "./used_end.ts";
import { allocate, type BlockTarget, blockWriter } from "./writer.ts";

/** New blocks that are noted before they are filled. */
const BATCH = 1024;

/**
 * Makes the disk longer. First everything is put in place where the disk of today does not reach; then the footers state
 * the new size, one after the other.
 */
export async function growBlocks(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  refuseManyBlocks(storage, ceilDiv(size, blocks.header.blockSize));
  await endOfBlocks(blocks, () => context.checkpoint());
  const parent = image.parent === null ? null : await context.openBacking(await parentOf(image.parent, storage));
  const isSparse = !await hasNoHoles(storage);
  await mendCopy(storage, image);
  await makeRoom(storage, image, blocks, size, isSparse, context);
  const longer = await lengthenTable(storage, blocks, size);
  // What the last footer is overwritten with must not be needed before it has moved.
  const end = alignUp(storage.size, SECTOR);
  const filling = zeroMethodFor(growth, isSparse);
  const fill = (start: number, fillEnd: number) =>
    fillWithZeroes(storage, start, fillEnd, filling, () => context.checkpoint());
  const { target, flush } = editing({ storage, blocks: longer, parent, end, isSparse, fill });
  const settle = async () => {
    await flush();
    await storage.sync();
    await longer.table.flush();
  };
  await zeroNewEnd(blockWriter(target, false, () => Promise.resolve()), image.size, parent, settle, context);
  if (growth !== "off") {
    await truncateOnFailure(storage, async () => {
      await allocateNew(target, image.size, context);
      await flush();
    });
  }
  await settle();
  await storage.sync();
  const moved = await readImage(storage);
  await writeFooters(storage, resizedFooter(image.bytes, size), target.end > end ? target.end : moved.endOffset);
}

/** Makes the table long enough for `size` guest bytes, what is new of it free. Returns the blocks of such a disk. */
async function lengthenTable(storage: WritableStorage, blocks: Blocks, size: number): Promise<Blocks> {
  const { header, headerOffset } = blocks;
  const { tableOffset } = header;
  const oldEnd = tableOffset + blocks.table.entries * 4;
  const newEnd = tableOffset + tableBytesFor(blocks, size);
  const free = new Uint8Array(Math.min(newEnd - oldEnd, 64 << 10)).fill(0xff);
  for (let at = oldEnd; at < newEnd; at += free.length) {
    await storage.writeAt(free.subarray(0, Math.min(free.length, newEnd - at)), at);
  }
  await storage.sync();
  const entries = ceilDiv(size, header.blockSize);
  if (entries > header.tableEntries) await stateTableEntries(storage, headerOffset, entries);
  const place = { fileOffset: tableOffset, entries, littleEndian: false };
  return { ...blocks, size, table: openBlockTable(storage, place) };
}

/** Only one sector changes. */
async function stateTableEntries(storage: WritableStorage, headerOffset: number, entries: number): Promise<void> {
  const header = new Uint8Array(HEADER_BYTES);
  await storage.readAt(header, headerOffset);
  setTableEntries(header, entries);
  await storage.writeAt(header.subarray(0, SECTOR), headerOffset);
  await storage.sync();
}

/** Gives every block of the new end a place. */
async function allocateNew(target: BlockTarget, oldSize: number, { checkpoint }: ChangeContext): Promise<void> {
  const { table } = target;
  const first = ceilDiv(oldSize, target.blockSize);
  for (let index = first; index < table.entries; index++) {
    if ((await table.load(index)).entry(index) === FREE) await allocate(target, index);
    if (index % BATCH === 0) await target.fresh.finish();
    await checkpoint((index - first) / (table.entries - first));
  }
}

/**
 * Makes the disk shorter. The footers come first: from then on no structure leads to the blocks behind the new end. Their
 * space is freed after that.
 */
export async function shrinkBlocks(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  size: number,
  context: ChangeContext,
): Promise<void> {
  await endOfBlocks(blocks, () => context.checkpoint());
  const isSparse = !await hasNoHoles(storage);
  await writeFooters(storage, resizedFooter(image.bytes, size), image.endOffset);
  const { table, header, headerOffset, bitmapBytes } = blocks;
  const dropped: number[] = [];
  for (let index = ceilDiv(size, header.blockSize); index < table.entries; index++) {
    const entry = (await table.load(index)).entry(index);
    if (entry === FREE) continue;
    dropped.push(entry * SECTOR);
    await table.set(index, FREE);
    await context.checkpoint();
  }
  await table.flush();
  await storage.sync();
  await stateTableEntries(storage, headerOffset, ceilDiv(size, header.blockSize));
  await truncateUnused(storage, await readImage(storage), () => context.checkpoint());
  if (!isSparse) return;
  for (const start of dropped) {
    const end = Math.min(start + bitmapBytes + header.blockSize, storage.size - FOOTER_BYTES);
    if (start < end) await storage.zeroAt(start, end);
    await context.checkpoint();
  }
}
