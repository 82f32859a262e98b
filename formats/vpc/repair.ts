/**
 * Mending an image, as far as that needs no guess at data.
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
import { extentsOf } from "./block_locations.ts";
import { sealFooter } from "./footer.ts";
import { mendCopy, writeFooters } from "./footer_copies.ts";
import { truncateUnused } from "./used_end.ts";
import { type Blocks, readImage, type VpcImage } from "./structures.ts";
import { copy } from "./move_blocks.ts";
import { allocateAt } from "./writer.ts";

/**
 * Mends the image in `storage`: checksums of structures that agree with the rest of the file, either footer from the
 * other, blocks over one another (they get places of their own, the disk stays as it reads), blocks of which the file has
 * nothing (they read as zeroes from then on; not in an image with a parent, whose old bytes would show), and a file that
 * is too long.
 *
 * @throws ImageError where it does not open
 */
export async function repairVpc(storage: WritableStorage, what: RepairScope, context: CheckContext): Promise<void> {
  const checkpoint = () => context.checkpoint();
  if (what === "all") {
    await mendChecksums(storage);
    const image = await readImage(storage);
    if (image.blocks !== null) await mendBlocks(storage, image, image.blocks, checkpoint);
  }
  const image = await readImage(storage, () => {});
  if (!image.isCopy) await truncateUnused(storage, image, checkpoint);
}

async function mendChecksums(storage: WritableStorage): Promise<void> {
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

/** Footers and places of blocks. Copies and the footer behind them are on stable storage before the table says so. */
async function mendBlocks(
  storage: WritableStorage,
  image: VpcImage,
  blocks: Blocks,
  checkpoint: () => Promise<void>,
): Promise<void> {
  const lost = await lostOf(blocks, checkpoint);
  // Over a parent nothing may come to lie where the table says that such a block is.
  if (image.parent !== null && lost.count > 0) return;
  await mendCopy(storage, image);
  if (lost.count > 0) await freeGone(blocks, checkpoint);
  if (lost.cutEnd > 0) await completeCut(storage, image, lost.cutEnd);
  const { moved, end } = await copyOverlapping(storage, { ...blocks, limit: Infinity }, checkpoint);
  const footerAt = Math.max(alignUp(image.endOffset, SECTOR), lost.cutEnd, end);
  if (footerAt > image.endOffset || image.isCopy) await writeFooters(storage, image.bytes, footerAt);
  if (moved.size === 0) return;
  for (const [index, start] of moved) await blocks.table.set(index, start / SECTOR);
  await blocks.table.flush();
  await storage.sync();
}

/** Blocks that end past the end of the file, or in its footer: how many, and where the last one ends that begins before. */
async function lostOf(blocks: Blocks, checkpoint: () => Promise<void>): Promise<{ count: number; cutEnd: number }> {
  const { table, size, bitmapBytes, header: { blockSize }, limit } = blocks;
  const lost = { count: 0, cutEnd: 0 };
  for (let index = 0; index < table.entries; index++) {
    const entry = (await table.load(index)).entry(index);
    const start = entry * SECTOR;
    if (entry === FREE || start + bitmapBytes + Math.min(blockSize, size - index * blockSize) <= limit) continue;
    lost.count++;
    if (start < limit) lost.cutEnd = Math.max(lost.cutEnd, start + bitmapBytes + blockSize);
    await checkpoint();
  }
  return lost;
}

/** Frees the blocks of which the file has nothing. */
async function freeGone({ table, limit }: Blocks, checkpoint: () => Promise<void>): Promise<void> {
  for (let index = 0; index < table.entries; index++) {
    const entry = (await table.load(index)).entry(index);
    if (entry !== FREE && entry * SECTOR >= limit) await table.set(index, FREE);
    await checkpoint();
  }
  await table.flush();
}

/** Completes blocks that the file cuts off with zeroes. What is a footer there must not become the guest's. */
async function completeCut(storage: WritableStorage, image: VpcImage, end: number): Promise<void> {
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

/** Copies blocks that lie over others to the end of the file. Returns their new places by index, and where they end. */
async function copyOverlapping(
  storage: WritableStorage,
  blocks: Blocks,
  checkpoint: () => Promise<void>,
): Promise<{ readonly moved: ReadonlyMap<number, number>; readonly end: number }> {
  const { table, bitmapBytes, header: { blockSize } } = blocks;
  const used = storage.size;
  const moved = new Map<number, number>();
  const { starts, clashes } = await extentsOf(blocks, checkpoint, () => {});
  // A file must not become many times as long by a table that names one place over and over.
  if (clashes.length === 0 || clashes.length > starts.length / 2) return { moved, end: 0 };
  const place = { storage, bitmapBytes, blockSize, isSparse: !await hasNoHoles(storage), end: alignUp(used, SECTOR) };
  const staying = new Map(clashes.map((clash) => [clash.start, clash.oneStays]));
  for (let index = 0; index < table.entries; index++) {
    const entry = (await table.load(index)).entry(index);
    const oneStays = staying.get(entry);
    if (oneStays === undefined) continue;
    staying.set(entry, false);
    if (oneStays) continue;
    const target = await allocateAt(place);
    const from = entry * SECTOR;
    await copy(storage, from, Math.min(from + bitmapBytes + blockSize, used), target);
    moved.set(index, target);
    await checkpoint();
  }
  return { moved, end: place.end };
}
