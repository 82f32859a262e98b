/**
 * Existing images, opened for writing.
 *
 * @module
 */
import { FREE } from "../block_table.ts";
import { alignUp, SECTOR } from "../bytes.ts";
import type { DiskWriter, EditContext, GuestReader } from "../contract.ts";
import { corrupt, ImageError } from "../errors.ts";
import { freshAreas, hasNoHoles, writeZeroes } from "../fresh_areas.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../table_cache.ts";
import { type BlockReader, blockReader } from "./disk.ts";
import { blockOffset, type Blocks, readImage, type VpcImage } from "./image.ts";
import { parentOf } from "./parent.ts";
import { type BlockTarget, blockWriter, fixedWriter } from "./writer.ts";

/** Bytes of sector bitmaps held. */
const BITMAP_CACHE_BYTES = 4 << 20;

/** A block allocation table of more blocks is not edited: all of it is looked through first. 2040 GiB have 1,044,480. */
const MAX_BLOCKS = 1 << 24;

/**
 * Opens an existing image for writing. A file without holes is kept without holes, for Windows.
 *
 * @throws ImageError `corrupt`, `unsupported`, and what `context.openBelow` throws
 */
export async function editVpc(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const isSparse = !await hasNoHoles(storage);
  const { blocks, size } = image;
  if (blocks === null) return fixedWriter({ storage, size, isSparse, finish: () => Promise.resolve() });
  // Whatever lies before the footer may be in use: names of a parent, for instance.
  const end = Math.max(await endOfBlocks(blocks), alignUp(image.endOffset, SECTOR));
  const below = image.parent === null ? null : await context.openBelow(await parentOf(image.parent, storage));
  const { table, bitmapBytes, header: { blockSize } } = blocks;
  const bitmaps = tableCache(storage, bitmapBytes, BITMAP_CACHE_BYTES);
  // The reader shares the bitmaps of the writer, and looks at the table that it changes.
  const reader = blockReader(storage, blocks, bitmaps);
  async function read(into: Uint8Array, start: number): Promise<void> {
    // What was passed over in new blocks must be there before it can be read.
    await target.fresh.finish();
    await readThrough(reader, below, into, start);
  }
  const target: BlockTarget = {
    storage,
    size,
    blockSize,
    bitmapBytes,
    table,
    fresh: freshAreas((start, end) => isSparse ? storage.zeroAt(start, end) : writeZeroes(storage, start, end)),
    isSparse,
    edited: { bitmaps, below, read },
    end,
  };
  return blockWriter(target, false, async () => {
    await target.fresh.finish();
    await bitmaps.flush();
    await table.flush();
    await finishFooters(storage, image, end, target.end);
  });
}

/** Where the last block ends. Blocks that lie over one another are found out: writing would spoil both. */
async function endOfBlocks(blocks: Blocks): Promise<number> {
  const { storage: { label }, table, header, bitmapBytes } = blocks;
  if (table.entries > MAX_BLOCKS) {
    const message =
      `Cannot write into "${label}": it has ${table.entries} blocks, and at most ${MAX_BLOCKS} are edited`;
    throw new ImageError("unsupported", message, { path: label });
  }
  const starts: number[] = [];
  for (let index = 0; index < table.entries;) {
    const page = await table.load(index);
    for (; index < page.end; index++) {
      if (page.entry(index) !== FREE) starts.push(blockOffset(blocks, page, index)! / SECTOR);
    }
  }
  const sorted = Uint32Array.from(starts).sort();
  const sectors = (bitmapBytes + header.blockSize) / SECTOR;
  const clash = sorted.findIndex((start, at) => at > 0 && start < sorted[at - 1] + sectors);
  if (clash >= 0) {
    const start = sorted[clash] * SECTOR;
    throw corrupt(`Cannot write into "${label}": two blocks overlap at ${start}`, label, start);
  }
  return sorted.length === 0 ? 0 : (sorted[sorted.length - 1] + sectors) * SECTOR;
}

/** Guest bytes of this layer, and of what is beneath where it is silent. */
async function readThrough(
  reader: BlockReader,
  below: GuestReader | null,
  into: Uint8Array,
  start: number,
): Promise<void> {
  const end = start + into.length;
  for (let at = start; at < end;) {
    const run = await reader.runAt(at, end);
    const part = into.subarray(at - start, run.end - start);
    if (run.kind === "data") await reader.read(part, at);
    else if (below === null || at >= below.size) part.fill(0);
    else await below.read(part, at);
    at = run.end;
  }
}

/** Blocks grow over the footer at the end: it is written anew behind them. A missing or damaged one is put right. */
async function finishFooters(storage: WritableStorage, image: VpcImage, oldEnd: number, end: number): Promise<void> {
  if (end === oldEnd && !image.isCopy) return;
  await storage.truncate(end + image.bytes.length);
  await storage.writeAt(image.bytes, end);
  await storage.writeAt(image.bytes, 0);
}
