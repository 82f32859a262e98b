/**
 * Opens an image for reading.
 *
 * @module
 */
import { alignDown } from "../bytes.ts";
import type { Disk, FormatInfo } from "../contract.ts";
import { corrupt } from "../errors.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { locatedExtent } from "../shared/located_extent.ts";
import { readData } from "../shared/truncated_file.ts";
import { dataExtent, type Extent, holeExtent, zeroExtent } from "../extent.ts";
import type { Storage } from "../storage/types.ts";
import { type TableCache, tableCache } from "../shared/table_cache.ts";
import { type Bat, bitmapOffset, type BlockEntry, blockIn, PAGE_ENTRIES, pageOffsetOf, STATE } from "./bat.ts";
import { payloadIndex } from "./bat_layout.ts";
import { type Image, readImage } from "./structures.ts";
import { backingOf } from "./parent_locator.ts";
import { bitLocationOf, BITMAP_PAGE_BYTES, sameBits } from "./sector_bitmap.ts";

/** Bytes of sector bitmaps in memory: those of 32 blocks at least. */
const BITMAP_CACHE_BYTES = 2 << 20;

/** The inputs of reads. */
interface Source {
  readonly storage: Storage;
  readonly bat: Bat;
  readonly bitmaps: TableCache;
}

/** Guest bytes up to `end` whose blocks have one state, and are contiguous in the file if they are allocated. */
interface BlockExtent extends BlockEntry {
  readonly end: number;
}

/**
 * Opens a dynamic, fixed or differencing image for reading. The log of an image that was not closed is replayed in memory;
 * the file stays unchanged.
 *
 * @throws ImageError `corrupt` where the image contradicts [MS-VHDX]; `unsupported` for unknown regions and metadata that
 * are required
 */
export async function openVhdx(file: Storage): Promise<Disk> {
  const image = await readImage(file);
  const { storage, geometry, metadata } = image;
  const bat = { ...image.bat, mayBeTruncated: true };
  const source: Source = { storage, bat, bitmaps: tableCache(storage, BITMAP_PAGE_BYTES, BITMAP_CACHE_BYTES) };
  return {
    format: "vhdx",
    size: geometry.size,
    clusterSize: geometry.blockSize,
    logicalSectorSize: metadata.logicalSector,
    backing: metadata.parent && backingOf(metadata.parent),
    id: image.header.dataWriteGuid,
    info: infoOf(image),
    extentAt: (start, limit) => extentAt(source, start, limit),
    read: (into, start) => readGuest(source, into, start),
  };
}

function extentAt(source: Source, start: number, limit: number): MaybePromise<Extent> {
  return andThen(blockExtentAt(source.bat, start, limit), ({ state, fileOffset, end }) => {
    switch (state) {
      case STATE.notPresent:
        return holeExtent(start, end);
      case STATE.fullyPresent:
        // A block is allocated as a whole, and a fixed image has all blocks: the file may have holes there.
        return locatedExtent(source.storage, start, end, fileOffset);
      case STATE.partiallyPresent:
        return partialExtent(source, start, end, fileOffset);
      default:
        // Undefined and unmapped blocks may read as anything, but not as the parent, even in a differencing image.
        return zeroExtent(start, end);
    }
  });
}

/** Returns the blocks from guest byte `start` on, within one page of the BAT. */
function blockExtentAt(bat: Bat, start: number, limit: number): MaybePromise<BlockExtent> {
  const index = payloadIndex(bat.geometry, Math.floor(start / bat.geometry.blockSize));
  return bat.pages.look(pageOffsetOf(bat, index), ({ view }) => blockExtentIn(bat, view, start, limit));
}

function blockExtentIn(bat: Bat, page: DataView, start: number, limit: number): BlockExtent {
  const { geometry } = bat;
  const { blockSize } = geometry;
  let block = Math.floor(start / blockSize);
  const index = payloadIndex(geometry, block);
  const first = blockIn(bat, page, block);
  const pageEnd = alignDown(index, PAGE_ENTRIES) + PAGE_ENTRIES;
  let end = (block + 1) * blockSize;
  while (end < limit && payloadIndex(geometry, ++block) < pageEnd) {
    const next = blockIn(bat, page, block);
    if (next.state !== first.state) break;
    if (first.fileOffset !== 0 && next.fileOffset !== first.fileOffset + end - alignDown(start, blockSize)) break;
    end += blockSize;
  }
  const fileOffset = first.fileOffset === 0 ? 0 : first.fileOffset + start % blockSize;
  return { state: first.state, fileOffset, end: Math.min(end, limit) };
}

/** Returns the extent at `start` by one page of the sector bitmap; `fileOffset` is the location of `start`, if present. */
async function partialExtent(
  { storage, bat, bitmaps }: Source,
  start: number,
  limit: number,
  fileOffset: number,
): Promise<Extent> {
  const { geometry, label } = bat;
  const block = Math.floor(start / geometry.blockSize);
  const bitmapAt = await bitmapOffset(bat, block);
  if (bitmapAt === 0) {
    throw corrupt(`Cannot use block ${block} of "${label}": it is present in part, and has no sector bitmap`, label);
  }
  const { pageOffset, firstBit } = bitLocationOf(geometry, block, bitmapAt);
  const blockStart = block * geometry.blockSize;
  const bitOf = (guest: number) => firstBit + Math.floor((guest - blockStart) / geometry.sectorSize);
  // The bits of the next blocks of the chunk follow, up to the end of the page.
  const lastBit = Math.min(bitOf(limit - 1) + 1, BITMAP_PAGE_BYTES * 8);
  const { set, end } = await bitmaps.look(pageOffset, ({ bytes }) => sameBits(bytes, bitOf(start), lastBit));
  const extentEnd = Math.min(limit, blockStart + (end - firstBit) * geometry.sectorSize);
  return set ? dataExtent(start, extentEnd, { storage, offset: fileOffset }) : holeExtent(start, extentEnd);
}

async function readGuest({ storage, bat }: Source, into: Uint8Array, start: number): Promise<void> {
  const end = start + into.length;
  for (let at = start; at < end;) {
    const extent = await blockExtentAt(bat, at, end);
    const part = into.subarray(at - start, extent.end - start);
    if (extent.fileOffset === 0) part.fill(0);
    else await readData(storage, part, extent.fileOffset, `guest byte ${at}`);
    at = extent.end;
  }
}

function infoOf({ creator, header, dirty, metadata }: Image): FormatInfo {
  const { parent } = metadata;
  return {
    "subformat": parent ? "differencing" : metadata.leavesAllocated ? "fixed" : "dynamic",
    "block-size": metadata.blockSize,
    "logical-sector-size": metadata.logicalSector,
    "physical-sector-size": metadata.physicalSector,
    "log-size": header.logLength,
    "log-in-use": dirty,
    "creator": creator,
    "virtual-disk-id": metadata.diskId,
    "data-write-guid": header.dataWriteGuid,
    ...(parent && {
      "parent-linkage": parent.linkage,
      ...(parent.linkage2 !== null && { "parent-linkage2": parent.linkage2 }),
      "parent-paths": parent.paths,
    }),
  };
}
