/**
 * Opens an image for reading.
 *
 * @module
 */
import { type BlockPage, FREE } from "../shared/block_table.ts";
import { asciiText, SECTOR } from "../bytes.ts";
import type { Disk, FormatInfo } from "../contract.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { locatedExtent } from "../shared/located_extent.ts";
import type { NamedFile } from "../guest_reader.ts";
import { readData } from "../shared/truncated_file.ts";
import { dataExtent, type Extent, holeExtent } from "../extent.ts";
import type { Storage } from "../storage/types.ts";
import { type TableCache, tableCache } from "../shared/table_cache.ts";
import { uuidText } from "../shared/uuid.ts";
import { isSet, sameBitsEnd } from "./sector_bitmap.ts";
import { DYNAMIC, EPOCH, FIXED } from "./footer.ts";
import type { SizeRule } from "./footer.ts";
import { type Blocks, readImage, truncatedBlockOffset, type VpcImage } from "./structures.ts";
import { readParent } from "./parent_locator.ts";

/** Bytes of sector bitmaps in memory. */
const BITMAP_CACHE_BYTES = 1 << 20;

/**
 * Opens a fixed, dynamic or differencing image for reading.
 *
 * @throws ImageError `corrupt`, `unsupported`
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { openVpc } from "./open.ts";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(openVpc(new MemoryStorage(new Uint8Array(1000))), { kind: "corrupt" });
 * ```
 */
export async function openVpc(storage: Storage, sizeRule?: SizeRule): Promise<Disk> {
  const image = await readImage(storage, undefined, sizeRule);
  const { blocks, size, footer } = image;
  const backing = image.parent === null ? null : await readParent(image.parent, storage);
  return {
    format: "vpc",
    size,
    clusterSize: blocks === null ? 1 : blocks.header.blockSize,
    logicalSectorSize: SECTOR,
    backing,
    id: uuidText(footer.uuid, "big"),
    info: infoOf(image, backing),
    ...(blocks === null ? fixedReader(storage) : blockReader(storage, blocks)),
  };
}

function infoOf(image: VpcImage, backing: NamedFile | null): FormatInfo {
  const { footer, blocks } = image;
  const { cylinders, heads, sectors } = footer.geometry;
  return {
    "subformat": footer.type === FIXED ? "fixed" : footer.type === DYNAMIC ? "dynamic" : "differencing",
    "creator": asciiText(new TextEncoder().encode(footer.creator)).trimEnd(),
    "created": new Date((EPOCH + footer.timeStamp) * 1000).toISOString(),
    "uuid": uuidText(footer.uuid, "big"),
    "current-size": footer.currentSize,
    "geometry": { "cylinders": cylinders, "heads": heads, "sectors": sectors },
    ...(blocks !== null && { "block-size": blocks.header.blockSize }),
    ...(backing?.id !== undefined && { "parent-uuid": backing.id }),
    "footer-damaged": image.isCopy,
  };
}

/** Reads guest bytes of an image without its parent. */
export type BlockReader = Pick<Disk, "extentAt" | "read">;

function fixedReader(storage: Storage): BlockReader {
  return {
    extentAt: (start, limit) => locatedExtent(storage, start, limit, start),
    read: (into, start) => storage.readAt(into, start),
  };
}

/** Returns a reader of a dynamic or differencing image. */
export function blockReader(
  storage: Storage,
  blocks: Blocks,
  bitmaps: TableCache = tableCache(storage, blocks.bitmapBytes, BITMAP_CACHE_BYTES),
): BlockReader {
  return {
    extentAt: (start, limit) => blockExtentAt(storage, blocks, bitmaps, start, limit),
    read: (into, start) => readBlocks(storage, blocks, into, start),
  };
}

function blockExtentAt(
  storage: Storage,
  blocks: Blocks,
  bitmaps: TableCache,
  start: number,
  limit: number,
): MaybePromise<Extent> {
  const first = Math.floor(start / blocks.header.blockSize);
  return andThen(blocks.bat.load(first), (page) => extentIn(storage, blocks, page, bitmaps, start, limit));
}

/**
 * Returns the extent at `start`, by the sector bitmap of its block; by the BAT entries in `page` if it has no block.
 */
function extentIn(
  storage: Storage,
  blocks: Blocks,
  page: BlockPage,
  bitmaps: TableCache,
  start: number,
  limit: number,
): MaybePromise<Extent> {
  const { blockSize } = blocks.header;
  const first = Math.floor(start / blockSize);
  const fileOffset = truncatedBlockOffset(blocks, page, first);
  if (fileOffset === null) {
    const last = Math.min(page.end, Math.ceil(limit / blockSize));
    let index = first + 1;
    while (index < last && page.entry(index) === FREE) index++;
    return holeExtent(start, Math.min(index * blockSize, limit));
  }
  const dataOffset = fileOffset + blocks.bitmapBytes - first * blockSize;
  const dataEnd = Math.min(storage.size, blocks.limit);
  // Without its bitmap, all of the block is missing.
  if (fileOffset + blocks.bitmapBytes > dataEnd) {
    return extentUpTo(dataEnd, start, Math.min(limit, (first + 1) * blockSize), storage, dataOffset + start);
  }
  // Blocks are never contiguous: the sector bitmap of the next block lies between them.
  return bitmaps.look(fileOffset, ({ bytes }) => {
    const blockStart = first * blockSize;
    const sector = Math.floor((start - blockStart) / SECTOR);
    const end = Math.min(limit, blockStart + sameBitsEnd(bytes, sector, blockSize / SECTOR) * SECTOR);
    if (!isSet(bytes, sector)) return holeExtent(start, end);
    return extentUpTo(dataEnd, start, end, storage, dataOffset + start);
  });
}

/** Data up to `dataEnd`, a file offset; from there on, the data is missing, whatever the footer of the file holds. */
function extentUpTo(dataEnd: number, start: number, end: number, storage: Storage, offset: number): Extent {
  const present = dataEnd - offset;
  if (present >= end - start || present > 0 && dataEnd === storage.size) {
    return dataExtent(start, end, { storage, offset });
  }
  if (present > 0) return dataExtent(start, start + present, { storage, offset });
  return dataExtent(start, end, { storage, offset: Math.max(storage.size, offset) });
}

async function readBlocks(storage: Storage, blocks: Blocks, into: Uint8Array, start: number): Promise<void> {
  const { blockSize } = blocks.header;
  const end = start + into.length;
  for (let at = start; at < end;) {
    const index = Math.floor(at / blockSize);
    const part = into.subarray(at - start, Math.min(end, (index + 1) * blockSize) - start);
    const fileOffset = truncatedBlockOffset(blocks, await blocks.bat.load(index), index);
    if (fileOffset === null) part.fill(0);
    else {
      const offset = fileOffset + blocks.bitmapBytes + at - index * blockSize;
      await readData(storage, part, offset, `block ${index}`, { end: Math.min(storage.size, blocks.limit) });
    }
    at += part.length;
  }
}
