/**
 * Existing images, opened for writing.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { DiskWriter, EditContext } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { hasNoHoles, uninitialisedBlocks, writeZeroes } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import { type BlockReader, blockReader } from "./open.ts";
import { endOfBlocks } from "./block_locations.ts";
import { mendCopy } from "./footer_copies.ts";
import { type Blocks, readImage, type VpcImage } from "./structures.ts";
import { parentOf } from "./parent_locator.ts";
import { type BlockTarget, blockWriter, fixedWriter } from "./writer.ts";

/** Bytes of sector bitmaps held. */
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
  // Whatever lies before the footer may be in use: names of a parent, for instance.
  const end = Math.max(await endOfBlocks(blocks, () => Promise.resolve()), alignUp(image.endOffset, SECTOR));
  const parent = image.parent === null ? null : await context.openBacking(await parentOf(image.parent, storage));
  // The first new block goes over the footer at the end: from then on the copy counts.
  await mendCopy(storage, image);
  const { target, flush } = editing({ storage, blocks, parent, end, isSparse });
  return blockWriter(target, false, async () => {
    await flush();
    await blocks.table.flush();
    await finishFooters(storage, image, end, target.end);
  });
}

/** What editing blocks needs to know. */
export interface EditedBlocks {
  readonly storage: WritableStorage;
  readonly blocks: Blocks;
  readonly parent: GuestReader | null;
  /** File offset after which new blocks may lie. */
  readonly end: number;
  /** Whether zeroes may become holes. */
  readonly isSparse: boolean;
  /** Makes a part of a new block read as zeroes, if not as `isSparse` says. */
  readonly fill?: (start: number, end: number) => Promise<void>;
}

/** The blocks of an existing image as a target; `flush` writes their pending zeroes and bitmaps, all but the table. */
export function editing(edited: EditedBlocks): { readonly target: BlockTarget; flush(): Promise<void> } {
  const { storage, parent, end, isSparse } = edited;
  const blocks = { ...edited.blocks, limit: Infinity };
  const { size, table, bitmapBytes, header: { blockSize } } = blocks;
  const zero = (start: number, end: number) => isSparse ? storage.zeroAt(start, end) : writeZeroes(storage, start, end);
  const fresh = uninitialisedBlocks(edited.fill ?? zero);
  const bitmaps = tableCache(storage, bitmapBytes, BITMAP_CACHE_BYTES);
  // The reader shares the bitmaps of the writer, and looks at the table that it changes.
  const reader = blockReader(storage, blocks, bitmaps);
  const read = async (into: Uint8Array, start: number) => {
    // What was passed over in new blocks must be there before it can be read.
    await fresh.finish();
    await readThrough(reader, parent, into, start);
  };
  return {
    target: {
      storage,
      size,
      blockSize,
      bitmapBytes,
      table,
      fresh,
      isSparse,
      edited: { bitmaps, parent, read },
      end,
    },
    async flush() {
      await fresh.finish();
      await bitmaps.flush();
    },
  };
}

/** Reads guest bytes of this image, and of the parent where a sector bitmap is clear. */
async function readThrough(
  reader: BlockReader,
  parent: GuestReader | null,
  into: Uint8Array,
  start: number,
): Promise<void> {
  const end = start + into.length;
  for (let at = start; at < end;) {
    const run = await reader.extentAt(at, end);
    const part = into.subarray(at - start, run.end - start);
    if (run.kind === "data") await reader.read(part, at);
    else if (parent === null || at >= parent.size) part.fill(0);
    else await parent.read(part, at);
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
