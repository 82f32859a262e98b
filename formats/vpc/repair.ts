/**
 * Repair of an image, as far as that needs no guess at guest data.
 *
 * @module
 */
import { FREE } from "../shared/block_table.ts";
import { alignUp, SECTOR } from "../bytes.ts";
import { hasNoHoles } from "../shared/uninitialised_blocks.ts";
import { fillWithZeroes, zeroMethodFor } from "../shared/growth.ts";
import type { CheckContext, RepairScope } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { HEADER_BYTES, sealHeader } from "./dynamic_header.ts";
import { batmapFor, batmapOffset, batmapRanges, clearBit, findWrongBits, readBatmap, writeBatmap } from "./batmap.ts";
import { blockIn, readBlockLocations } from "./block_locations.ts";
import { sealFooter } from "./footer.ts";
import { repairFooterCopy, writeFooters } from "./footer_copies.ts";
import { truncateUnused } from "./used_end.ts";
import { type Blocks, readImage, type VpcImage } from "./structures.ts";
import { copy, makeRoomForBat } from "./move_blocks.ts";
import { allocateAt } from "./writer.ts";

/**
 * Repairs the image in `storage`; guest bytes stay the same. Wrong checksums of structures that agree with the rest of
 * the file are corrected, either footer is restored from the other, blocks that overlap are separated, and unused space
 * at the end of the file is truncated. Blocks past the end of the file become zeroes; not in an image with a parent,
 * whose old bytes would show.
 *
 * @throws ImageError where the image does not open
 */
export async function repairVpc(storage: WritableStorage, scope: RepairScope, context: CheckContext): Promise<void> {
  const checkpoint = () => context.checkpoint();
  if (scope === "all") {
    await repairChecksums(storage);
    const image = await readImage(storage);
    if (image.blocks !== null) {
      await repairBlocks(storage, image, image.blocks, checkpoint);
      await repairBatmap(storage, context);
    }
  }
  const image = await readImage(storage, () => {});
  if (!image.isCopy) await truncateUnused(storage, image, checkpoint);
}

async function repairChecksums(storage: WritableStorage): Promise<void> {
  let wrong = false;
  const image = await readImage(storage, () => wrong = true);
  if (!wrong) return;
  if (image.blocks === null) {
    await storage.writeAt(sealFooter(image.bytes), image.endOffset);
  } else {
    const header = new Uint8Array(HEADER_BYTES);
    await storage.readAt(header, image.blocks.headerOffset);
    sealHeader(header);
    await storage.writeAt(header.subarray(0, SECTOR), image.blocks.headerOffset);
  }
  await storage.sync();
}

/**
 * Repairs footers and block locations. Copies and the footer behind them are on stable storage before the BAT changes.
 */
async function repairBlocks(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  checkpoint: () => Promise<void>,
): Promise<void> {
  const missing = await findMissingBlocks(blocks, checkpoint);
  // In an image with a parent such an entry stays, and no block may be allocated at the location that it states.
  if (image.parent !== null && missing.count > 0) return;
  await repairFooterCopy(storage, image);
  if (missing.count > 0) await freeMissingBlocks(blocks, checkpoint);
  if (missing.truncatedEnd > 0) await completeTruncatedBlock(storage, image, missing.truncatedEnd);
  const { moved, end } = await copyOverlapping(storage, { ...blocks, limit: Infinity }, checkpoint);
  const footerAt = Math.max(alignUp(image.endOffset, SECTOR), missing.truncatedEnd, end);
  if (footerAt > image.endOffset || image.isCopy) await writeFooters(storage, image.bytes, footerAt);
  if (moved.size === 0) return;
  for (const [index, start] of moved) await blocks.bat.set(index, start / SECTOR);
  await blocks.bat.flush();
  await storage.sync();
}

/**
 * Clears wrong bits of the batmap, or writes a new one behind the BAT with all bits clear. The blocks and parent locators
 * that lie there move to the end of the file.
 */
async function repairBatmap(storage: WritableStorage, context: CheckContext): Promise<void> {
  const image = await readImage(storage);
  const { blocks } = image;
  const state = await readBatmap(storage, image);
  if (blocks === null || state.kind === "absent") return;
  const { tableOffset, tableEntries } = blocks.header;
  const checkpoint = () => context.checkpoint();
  const locations = await readBlockLocations(blocks, checkpoint, () => {});
  const isOverlapped = blockIn(blocks, locations, batmapRanges(blocks, state)) !== null;
  if (state.kind === "valid" && !isOverlapped) {
    const { bits } = state.batmap;
    let isWrong = false;
    await findWrongBits(blocks, state.batmap, (index) => {
      clearBit(bits, index);
      isWrong = true;
    }, checkpoint);
    if (isWrong) await writeBatmap(storage, batmapOffset(blocks.header), state.batmap);
    return await storage.sync();
  }
  // Blocks that overlap or lie outside the file are not moved.
  if (locations.overlaps.length > 0 || locations.faults > 0) return;
  const batmap = batmapFor({ kind: "absent" }, tableOffset, tableEntries, 0);
  await repairFooterCopy(storage, image);
  const areaEnd = batmap.bitsOffset + batmap.bits.length;
  await makeRoomForBat(storage, image, blocks, areaEnd, !await hasNoHoles(storage), context);
  await writeBatmap(storage, batmapOffset(blocks.header), batmap);
  await storage.sync();
  const moved = await readImage(storage);
  if (moved.isCopy) await writeFooters(storage, image.bytes, moved.endOffset);
}

/**
 * Counts the blocks that end behind `limit`; `truncatedEnd`: greatest end of those that begin before it, 0 for none.
 */
async function findMissingBlocks(
  blocks: Blocks,
  checkpoint: () => Promise<void>,
): Promise<{ count: number; truncatedEnd: number }> {
  const { bat, size, bitmapBytes, header: { blockSize }, limit } = blocks;
  const missing = { count: 0, truncatedEnd: 0 };
  for (let index = 0; index < bat.entries; index++) {
    const entry = (await bat.load(index)).entry(index);
    const start = entry * SECTOR;
    if (entry === FREE || start + bitmapBytes + Math.min(blockSize, size - index * blockSize) <= limit) continue;
    missing.count++;
    if (start < limit) missing.truncatedEnd = Math.max(missing.truncatedEnd, start + bitmapBytes + blockSize);
    await checkpoint();
  }
  return missing;
}

/** Frees the blocks that begin past the end of the file. */
async function freeMissingBlocks({ bat, limit }: Blocks, checkpoint: () => Promise<void>): Promise<void> {
  for (let index = 0; index < bat.entries; index++) {
    const entry = (await bat.load(index)).entry(index);
    if (entry !== FREE && entry * SECTOR >= limit) await bat.set(index, FREE);
    await checkpoint();
  }
  await bat.flush();
}

/** Extends blocks that the end of the file truncates with zeroes, also over the footer, which is no guest data. */
async function completeTruncatedBlock(storage: WritableStorage, image: VpcImage, end: number): Promise<void> {
  if (image.endOffset < storage.size) await storage.zeroAt(image.endOffset, storage.size);
  await storage.sync();
  await fillWithZeroes(
    storage,
    storage.size,
    end,
    zeroMethodFor("off", !await hasNoHoles(storage)),
    () => Promise.resolve(),
  );
  await storage.sync();
}

/** Copies blocks that overlap others to the end of the file. Returns their new file offsets by block, and their end. */
async function copyOverlapping(
  storage: WritableStorage,
  blocks: Blocks,
  checkpoint: () => Promise<void>,
): Promise<{ readonly moved: ReadonlyMap<number, number>; readonly end: number }> {
  const { bat, bitmapBytes, header: { blockSize } } = blocks;
  const used = storage.size;
  const moved = new Map<number, number>();
  const { starts, overlaps } = await readBlockLocations(blocks, checkpoint, () => {});
  // A BAT that refers to one location many times must not make the file many times as long.
  if (overlaps.length === 0 || overlaps.length > starts.length / 2) return { moved, end: 0 };
  const allocator = {
    storage,
    bitmapBytes,
    blockSize,
    isSparse: !await hasNoHoles(storage),
    end: alignUp(used, SECTOR),
  };
  const remaining = new Map(overlaps.map((overlapping) => [overlapping.start, overlapping.keepsOne]));
  for (let index = 0; index < bat.entries; index++) {
    const entry = (await bat.load(index)).entry(index);
    const keepsOne = remaining.get(entry);
    if (keepsOne === undefined) continue;
    remaining.set(entry, false);
    if (keepsOne) continue;
    const target = await allocateAt(allocator);
    const from = entry * SECTOR;
    await copy(storage, from, Math.min(from + bitmapBytes + blockSize, used), target);
    moved.set(index, target);
    await checkpoint();
  }
  return { moved, end: allocator.end };
}
