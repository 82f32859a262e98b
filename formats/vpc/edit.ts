/**
 * Opens existing images for writing.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { DiskWriter, EditContext } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { hasNoHoles, uninitialisedBlocks, writeZeroes } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import { batmapRanges, readBatmap } from "./batmap.ts";
import { type BlockReader, blockReader } from "./open.ts";
import { lastBlockEnd } from "./block_locations.ts";
import { repairFooterCopy } from "./footer_copies.ts";
import { type Blocks, readImage, type VpcImage } from "./structures.ts";
import { readParent } from "./parent_locator.ts";
import { type BlockTarget, blockWriter, fixedWriter } from "./writer.ts";

/** Bytes of sector bitmaps in memory. */
const BITMAP_CACHE_BYTES = 4 << 20;

/**
 * Opens an existing image for writing. A file without holes is kept without holes, for Windows.
 *
 * @throws ImageError `corrupt`, `unsupported`, and what `context.openBacking` throws
 */
export async function editVpc(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const isSparse = !await hasNoHoles(storage);
  const { blocks, size } = image;
  if (blocks === null) return fixedWriter({ storage, size, isSparse, finish: () => Promise.resolve() });
  const batmap = batmapRanges(blocks, await readBatmap(storage, image));
  // New blocks lie behind the old footer: all before it may be in use, by parent locators for instance.
  const end = Math.max(await lastBlockEnd(blocks, batmap, () => Promise.resolve()), alignUp(image.endOffset, SECTOR));
  const parent = image.parent === null ? null : await context.openBacking(await readParent(image.parent, storage));
  // The first new block overwrites the footer at the end: from then on readers use its copy.
  await repairFooterCopy(storage, image);
  const { target, flush } = editBlocks({ storage, blocks, parent, end, isSparse });
  return blockWriter(target, false, async () => {
    await flush();
    await blocks.bat.flush();
    await finishFooters(storage, image, end, target.end);
  });
}

/** The input of {@linkcode editBlocks}. */
export interface EditedBlocks {
  readonly storage: WritableStorage;
  readonly blocks: Blocks;
  readonly parent: GuestReader | null;
  /** File offset from which on new blocks may lie. */
  readonly end: number;
  /** Whether zeroes may become holes. */
  readonly isSparse: boolean;
  /** Fills a part of a new block with zeroes; without it `isSparse` decides how. */
  readonly fill?: (start: number, end: number) => Promise<void>;
}

/**
 * Returns the blocks of an existing image as a target. `flush` writes pending zeroes and sector bitmaps, not the BAT.
 */
export function editBlocks(edited: EditedBlocks): { readonly target: BlockTarget; flush(): Promise<void> } {
  const { storage, parent, end, isSparse } = edited;
  const blocks = { ...edited.blocks, limit: Infinity };
  const { size, bat, bitmapBytes, header: { blockSize } } = blocks;
  const zero = (start: number, end: number) => isSparse ? storage.zeroAt(start, end) : writeZeroes(storage, start, end);
  const uninitialised = uninitialisedBlocks(edited.fill ?? zero);
  const bitmaps = tableCache(storage, bitmapBytes, BITMAP_CACHE_BYTES);
  // The reader shares sector bitmaps and BAT with the writer.
  const reader = blockReader(storage, blocks, bitmaps);
  const read = async (into: Uint8Array, start: number) => {
    // Bytes of new blocks that no write reached yet are written before they can be read.
    await uninitialised.finish();
    await readThrough(reader, parent, into, start);
  };
  return {
    target: {
      storage,
      size,
      blockSize,
      bitmapBytes,
      bat,
      uninitialised,
      isSparse,
      edited: { bitmaps, parent, read },
      end,
    },
    async flush() {
      await uninitialised.finish();
      await bitmaps.flush();
    },
  };
}

/** Reads guest bytes of this image, and of the parent where the bits of a sector bitmap are clear. */
async function readThrough(
  reader: BlockReader,
  parent: GuestReader | null,
  into: Uint8Array,
  start: number,
): Promise<void> {
  const end = start + into.length;
  for (let at = start; at < end;) {
    const extent = await reader.extentAt(at, end);
    const part = into.subarray(at - start, extent.end - start);
    if (extent.kind === "data") await reader.read(part, at);
    else if (parent === null || at >= parent.size) part.fill(0);
    else await parent.read(part, at);
    at = extent.end;
  }
}

/** Writes the footers, if new blocks overwrote the footer at the end, or if it was missing or damaged. */
async function finishFooters(storage: WritableStorage, image: VpcImage, oldEnd: number, end: number): Promise<void> {
  if (end === oldEnd && !image.isCopy) return;
  await storage.truncate(end + image.bytes.length);
  await storage.writeAt(image.bytes, end);
  await storage.writeAt(image.bytes, 0);
}
