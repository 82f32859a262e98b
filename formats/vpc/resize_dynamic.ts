/**
 * Changes the size of the disk of a dynamic or differencing image.
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
import {
  type Batmap,
  batmapFor,
  batmapOffset,
  batmapRanges,
  type BatmapState,
  readBatmap,
  writeBatmap,
} from "./batmap.ts";
import { editBlocks } from "./edit.ts";
import { lastBlockEnd, refuseManyBlocks } from "./block_locations.ts";
import { FOOTER_BYTES, resizedFooter } from "./footer.ts";
import { repairFooterCopy, writeFooters } from "./footer_copies.ts";
import { type Blocks, readImage, type VpcImage } from "./structures.ts";
import { batBytesFor, makeRoomForBat } from "./move_blocks.ts";
import { readParent } from "./parent_locator.ts";
import { truncateUnused } from "./used_end.ts";
import { allocate, type BlockTarget, blockWriter } from "./writer.ts";

/** New blocks that are allocated before they are filled. */
const BATCH = 1024;

/**
 * Makes the disk longer. All structures of the longer disk are written first, where the shorter disk does not use them;
 * then the footers get the new size, one after the other.
 */
export async function growBlocks(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  size: number,
  preallocation: Preallocation,
  context: ChangeContext,
): Promise<void> {
  refuseManyBlocks(storage, ceilDiv(size, blocks.header.blockSize));
  const batmap = await readBatmap(storage, image);
  await lastBlockEnd(blocks, batmapRanges(blocks, batmap), () => context.checkpoint());
  const parent = image.parent === null ? null : await context.openBacking(await readParent(image.parent, storage));
  const isSparse = !await hasNoHoles(storage);
  await repairFooterCopy(storage, image);
  const table = tableFor(blocks, batmap, size);
  await makeRoomForBat(storage, image, blocks, table.end, isSparse, context);
  const longer = await growBat(storage, blocks, size, table.batmap);
  // New blocks lie behind the footer at the end, which must stay valid until the new one is written.
  const end = alignUp(storage.size, SECTOR);
  const filling = zeroMethodFor(preallocation, isSparse);
  const fill = (start: number, fillEnd: number) =>
    fillWithZeroes(storage, start, fillEnd, filling, () => context.checkpoint());
  const { target, flush } = editBlocks({ storage, blocks: longer, parent, end, isSparse, fill });
  const flushAll = async () => {
    await flush();
    await storage.sync();
    await longer.bat.flush();
  };
  await zeroNewEnd(blockWriter(target, false, () => Promise.resolve()), image.size, parent, flushAll, context);
  if (preallocation !== "off") {
    await truncateOnFailure(storage, async () => {
      await allocateNew(target, image.size, context);
      await flush();
    });
  }
  await flushAll();
  await storage.sync();
  const moved = await readImage(storage);
  await writeFooters(storage, resizedFooter(image.bytes, size), target.end > end ? target.end : moved.endOffset);
}

/**
 * Returns the end of the BAT of a disk of `size` guest bytes, that of its batmap included, and the batmap to write; `null`
 * for none. A batmap moves with the end of the BAT, and is a new one where it was invalid.
 */
function tableFor(
  blocks: Blocks,
  state: BatmapState,
  size: number,
): { readonly end: number; readonly batmap: Batmap | null } {
  const { tableOffset, tableEntries, blockSize } = blocks.header;
  const end = tableOffset + batBytesFor(blocks, size);
  if (state.kind === "absent") return { end, batmap: null };
  const entries = Math.max(tableEntries, ceilDiv(size, blockSize));
  const batmap = batmapFor(state, tableOffset, entries, blocks.bat.entries);
  if (state.kind === "valid" && entries === tableEntries) {
    // Only bits of entries behind the old end of the disk are cleared: they are free from now on.
    const { bits, bitsOffset } = state.batmap;
    const cleared = new Uint8Array(bits.length);
    cleared.set(batmap.bits.subarray(0, bits.length));
    return { end, batmap: { ...batmap, bits: cleared, bitsOffset } };
  }
  return { end: batmap.bitsOffset + batmap.bits.length, batmap };
}

/**
 * Extends the BAT with free entries for `size` guest bytes, and writes its batmap. Returns the blocks of a disk of that
 * size.
 */
async function growBat(
  storage: WritableStorage,
  blocks: Blocks,
  size: number,
  batmap: Batmap | null,
): Promise<Blocks> {
  const { header, headerOffset } = blocks;
  const { tableOffset } = header;
  const oldEnd = tableOffset + blocks.bat.entries * 4;
  const newEnd = tableOffset + batBytesFor(blocks, size);
  const free = new Uint8Array(Math.min(newEnd - oldEnd, 64 << 10)).fill(0xff);
  for (let at = oldEnd; at < newEnd; at += free.length) {
    await storage.writeAt(free.subarray(0, Math.min(free.length, newEnd - at)), at);
  }
  const entries = ceilDiv(size, header.blockSize);
  if (batmap !== null) {
    const tableEntries = Math.max(header.tableEntries, entries);
    await writeBatmap(storage, batmapOffset({ tableOffset, tableEntries }), batmap);
  }
  await storage.sync();
  if (entries > header.tableEntries) await writeTableEntries(storage, headerOffset, entries);
  const location = { fileOffset: tableOffset, entries, littleEndian: false };
  return { ...blocks, size, bat: openBlockTable(storage, location) };
}

/** Writes the number of BAT entries into the dynamic disk header; only one sector changes. */
async function writeTableEntries(storage: WritableStorage, headerOffset: number, entries: number): Promise<void> {
  const header = new Uint8Array(HEADER_BYTES);
  await storage.readAt(header, headerOffset);
  setTableEntries(header, entries);
  await storage.writeAt(header.subarray(0, SECTOR), headerOffset);
  await storage.sync();
}

/** Allocates every block of the new end of the disk. */
async function allocateNew(target: BlockTarget, oldSize: number, { checkpoint }: ChangeContext): Promise<void> {
  const { bat } = target;
  const first = ceilDiv(oldSize, target.blockSize);
  for (let index = first; index < bat.entries; index++) {
    if ((await bat.load(index)).entry(index) === FREE) await allocate(target, index);
    if (index % BATCH === 0) await target.uninitialised.finish();
    await checkpoint((index - first) / (bat.entries - first));
  }
}

/**
 * Makes the disk shorter. The footers get the new size first: from then on no reader uses the blocks behind the new
 * end. Their space is freed after that.
 */
export async function shrinkBlocks(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  size: number,
  context: ChangeContext,
): Promise<void> {
  const batmap = await readBatmap(storage, image);
  await lastBlockEnd(blocks, batmapRanges(blocks, batmap), () => context.checkpoint());
  const isSparse = !await hasNoHoles(storage);
  await writeFooters(storage, resizedFooter(image.bytes, size), image.endOffset);
  const { bat, header, headerOffset, bitmapBytes } = blocks;
  const entries = ceilDiv(size, header.blockSize);
  if (batmap.kind === "valid") {
    const { bitsOffset, bits: { length } } = batmap.batmap;
    const { bits } = batmapFor(batmap, header.tableOffset, length * 8, entries);
    await writeBatmap(storage, batmapOffset(header), { ...batmap.batmap, bitsOffset, bits });
    await storage.sync();
  }
  const dropped: number[] = [];
  for (let index = entries; index < bat.entries; index++) {
    const entry = (await bat.load(index)).entry(index);
    if (entry === FREE) continue;
    dropped.push(entry * SECTOR);
    await bat.set(index, FREE);
    await context.checkpoint();
  }
  await bat.flush();
  await storage.sync();
  // The batmap lies behind the last entry of the BAT, so the BAT keeps its length where there may be one.
  if (batmap.kind === "absent") await writeTableEntries(storage, headerOffset, entries);
  await truncateUnused(storage, await readImage(storage), () => context.checkpoint());
  if (!isSparse) return;
  for (const start of dropped) {
    const end = Math.min(start + bitmapBytes + header.blockSize, storage.size - FOOTER_BYTES);
    if (start < end) await storage.zeroAt(start, end);
    await context.checkpoint();
  }
}
