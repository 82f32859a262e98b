/**
 * The block allocation table, BAT ([MS-VHDX] 2.5.1): its entries, and checks of their file offsets.
 *
 * @module
 */
import { MIB } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import type { Storage } from "../storage/types.ts";
import { type TableCache, tableCache } from "../shared/table_cache.ts";
import { bitmapIndex, bytesOfBlock, type Geometry, payloadIndex } from "./bat_layout.ts";
import { HEADER_SECTION } from "./header.ts";
import type { Area, Regions } from "./regions.ts";

/** Bytes of a page of the BAT, the unit of reads; its region has a whole number of pages. */
export const PAGE_BYTES = 64 << 10;
/** Entries of a page. */
export const PAGE_ENTRIES = PAGE_BYTES / 8;
const CACHE_BYTES = 4 << 20;

/** States of payload blocks ([MS-VHDX] 2.5.1.1). */
export const STATE = {
  notPresent: 0,
  undefined: 1,
  zero: 2,
  unmapped: 3,
  fullyPresent: 6,
  partiallyPresent: 7,
} as const;

/** The entry of a block. */
export interface BlockEntry {
  readonly state: number;
  /** File offset; 0 where the block is not allocated. */
  readonly fileOffset: number;
}

/** The BAT of an image. */
export interface Bat {
  readonly geometry: Geometry;
  readonly differencing: boolean;
  readonly region: Area;
  readonly areas: readonly Area[];
  readonly pages: TableCache;
  readonly label: string;
  /** Returns the current length of the file in bytes. */
  fileSize(): number;
  /** Whether payload blocks may end past the end of the file, as in a truncated one; reading fails only there. */
  readonly mayBeTruncated?: boolean;
}

/** Returns the BAT in `storage`; reads nothing yet. */
export function batOf(storage: Storage, regions: Regions, geometry: Geometry, differencing: boolean): Bat {
  const { bat, areas } = regions;
  if (geometry.entries * 8 > bat.end - bat.start) {
    const message = `Cannot use the BAT of "${storage.label}": a disk of ${geometry.size} bytes in blocks of ` +
      `${geometry.blockSize} needs ${geometry.entries} entries, it has room for ${(bat.end - bat.start) / 8}`;
    throw corrupt(message, storage.label, bat.start);
  }
  return {
    geometry,
    differencing,
    region: bat,
    areas,
    pages: tableCache(storage, PAGE_BYTES, CACHE_BYTES),
    label: storage.label,
    fileSize: () => storage.size,
  };
}

/** Returns the file offset of the page with the entry `index`. */
export function pageOffsetOf(bat: Bat, index: number): number {
  return bat.region.start + Math.floor(index / PAGE_ENTRIES) * PAGE_BYTES;
}

/** Returns the entry of a payload block from its page; throws `corrupt` where it is invalid. */
export function blockIn(bat: Bat, page: DataView, block: number): BlockEntry {
  const index = payloadIndex(bat.geometry, block);
  const { state, fileOffset } = entryIn(page, index);
  if (state <= STATE.unmapped) return { state, fileOffset: 0 };
  if (state !== STATE.fullyPresent && !(state === STATE.partiallyPresent && bat.differencing)) {
    const message = `Cannot use block ${block} of "${bat.label}": its state is ${state}, which ` +
      `${bat.differencing ? "a differencing" : "this"} image cannot have`;
    throw corrupt(message, bat.label, bat.region.start + 8 * index);
  }
  // Some writers truncate the file after the last guest byte, not at the end of the block.
  checkRange(bat, index, `block ${block}`, fileOffset, bytesOfBlock(bat.geometry, block), bat.mayBeTruncated);
  return { state, fileOffset };
}

/** As {@linkcode blockIn}, and loads the page. */
export function blockAt(bat: Bat, block: number): MaybePromise<BlockEntry> {
  const page = pageOffsetOf(bat, payloadIndex(bat.geometry, block));
  return bat.pages.look(page, ({ view }) => blockIn(bat, view, block));
}

/** Returns the file offset of the sector bitmap for the chunk of a payload block; 0 where there is none. */
export async function bitmapOffset(bat: Bat, block: number): Promise<number> {
  const index = bitmapIndex(bat.geometry, block);
  const { state, fileOffset } = await bat.pages.look(pageOffsetOf(bat, index), ({ view }) => entryIn(view, index));
  if (state === STATE.notPresent) return 0;
  const what = `the sector bitmap of block ${block}`;
  if (state !== STATE.fullyPresent) {
    const message = `Cannot use ${what} of "${bat.label}": its state is ${state}, and must be 0 or 6`;
    throw corrupt(message, bat.label, bat.region.start + 8 * index);
  }
  checkRange(bat, index, what, fileOffset, MIB);
  return fileOffset;
}

function entryIn(page: DataView, index: number): BlockEntry {
  const at = index % PAGE_ENTRIES * 8;
  const low = page.getUint32(at, true);
  // Bits 0 to 2 are the state, 3 to 19 are reserved, 20 to 63 the offset in MiB: without the low 20 bits it is in bytes.
  return { state: low & 7, fileOffset: page.getUint32(at + 4, true) * 2 ** 32 + (low - low % MIB) };
}

/** Writes an entry into its page. */
export function setEntry(page: DataView, index: number, state: number, fileOffset: number): void {
  const at = index % PAGE_ENTRIES * 8;
  page.setUint32(at, fileOffset % 2 ** 32 + state, true);
  page.setUint32(at + 4, Math.floor(fileOffset / 2 ** 32), true);
}

function checkRange(
  bat: Bat,
  index: number,
  what: string,
  start: number,
  length: number,
  mayBeTruncated = false,
): void {
  const size = mayBeTruncated ? Infinity : bat.fileSize();
  const at = bat.region.start + 8 * index;
  if (start < HEADER_SECTION || start + length > size) {
    const message =
      `Cannot use ${what} of "${bat.label}": it has the bytes ${start} to ${start + length}, which must ` +
      `lie between the headers and the end of the file (${size})`;
    throw corrupt(message, bat.label, at);
  }
  const area = areaAt(bat.areas, start + length);
  if (!area || area.end <= start) return;
  const message = `Cannot use ${what} of "${bat.label}": its bytes ${start} to ${
    start + length
  } overlap the ${area.name}`;
  throw corrupt(message, bat.label, at);
}

/** Returns the last area that begins before `end`. `areas` is sorted, without overlaps. */
function areaAt(areas: readonly Area[], end: number): Area | undefined {
  let low = 0;
  let high = areas.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (areas[middle].start < end) low = middle + 1;
    else high = middle;
  }
  return areas[low - 1];
}
