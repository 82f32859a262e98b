/**
 * Entries of the block allocation table ([MS-VHDX] 2.5.1), and the check of where they point.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import type { Storage } from "../storage/types.ts";
import { type TableCache, tableCache } from "../shared/table_cache.ts";
import { bitmapIndex, bytesOfBlock, type Geometry, payloadIndex } from "./bat_layout.ts";
import { HEADER_SECTION } from "./header.ts";
import { MIB } from "./limits.ts";
import type { Area, Regions } from "./regions.ts";

/** The BAT is read in pieces of this length; a region holds whole ones. */
export const PAGE_BYTES = 64 << 10;
/** Entries of a piece. */
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

/** A block: its state, and where it stands in the file if it does. */
export interface BlockEntry {
  readonly state: number;
  /** File bytes; 0 where the block has no place. */
  readonly fileOffset: number;
}

/** The table of an image. */
export interface Bat {
  readonly geometry: Geometry;
  readonly differencing: boolean;
  readonly region: Area;
  readonly areas: readonly Area[];
  readonly pages: TableCache;
  readonly label: string;
  /** Length of the file now, in bytes. */
  fileSize(): number;
}

/** The table in `storage`; nothing is read yet. */
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

/** File offset of the piece that holds the entry `index`. */
export function pageAt(bat: Bat, index: number): number {
  return bat.region.start + Math.floor(index / PAGE_ENTRIES) * PAGE_BYTES;
}

/** The checked entry of a payload block, out of its piece of the table. */
export function blockIn(bat: Bat, page: DataView, block: number): BlockEntry {
  const index = payloadIndex(bat.geometry, block);
  const { state, fileOffset } = entryIn(page, index);
  if (state <= STATE.unmapped) return { state, fileOffset: 0 };
  if (state !== STATE.fullyPresent && !(state === STATE.partiallyPresent && bat.differencing)) {
    const message = `Cannot use block ${block} of "${bat.label}": its state is ${state}, which ` +
      `${bat.differencing ? "a differencing" : "this"} image cannot have`;
    throw corrupt(message, bat.label, bat.region.start + 8 * index);
  }
  // Some writers end the file with the guest's last byte, not with the block.
  checkPlace(bat, index, `block ${block}`, fileOffset, bytesOfBlock(bat.geometry, block));
  return { state, fileOffset };
}

/** The same, from the table as it is now. */
export function blockAt(bat: Bat, block: number): MaybePromise<BlockEntry> {
  const page = pageAt(bat, payloadIndex(bat.geometry, block));
  return bat.pages.look(page, ({ view }) => blockIn(bat, view, block));
}

/** Where the sector bitmap of a payload block's chunk stands in the file; 0 where it has no place. */
export async function bitmapPlace(bat: Bat, block: number): Promise<number> {
  const index = bitmapIndex(bat.geometry, block);
  const { state, fileOffset } = await bat.pages.look(pageAt(bat, index), ({ view }) => entryIn(view, index));
  if (state === STATE.notPresent) return 0;
  const what = `the sector bitmap of block ${block}`;
  if (state !== STATE.fullyPresent) {
    const message = `Cannot use ${what} of "${bat.label}": its state is ${state}, and must be 0 or 6`;
    throw corrupt(message, bat.label, bat.region.start + 8 * index);
  }
  checkPlace(bat, index, what, fileOffset, MIB);
  return fileOffset;
}

function entryIn(page: DataView, index: number): BlockEntry {
  const at = index % PAGE_ENTRIES * 8;
  const low = page.getUint32(at, true);
  // Bits 0 to 2 are the state, 3 to 19 reserved, the rest is the place in MiB: the field without them is the place.
  return { state: low & 7, fileOffset: page.getUint32(at + 4, true) * 2 ** 32 + (low - low % MIB) };
}

/** Writes an entry into its piece of the table. */
export function setEntry(page: DataView, index: number, state: number, fileOffset: number): void {
  const at = index % PAGE_ENTRIES * 8;
  page.setUint32(at, fileOffset % 2 ** 32 + state, true);
  page.setUint32(at + 4, Math.floor(fileOffset / 2 ** 32), true);
}

function checkPlace(bat: Bat, index: number, what: string, start: number, length: number): void {
  const size = bat.fileSize();
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

/** The last area that begins before `end`; they are sorted and do not overlap. */
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
