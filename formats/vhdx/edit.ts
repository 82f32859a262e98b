/**
 * Writing into an existing VHDX image. Blocks that come get places at the end of the file; BAT and sector bitmaps follow
 * through the log when they are written.
 *
 * @module
 */
import { alignDown, alignUp } from "../bytes.ts";
import type { DiskWriter, EditContext } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { hasNoHoles, writeZeroes } from "../shared/uninitialised_blocks.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import {
  type Bat,
  bitmapPlace,
  blockAt,
  type BlockEntry,
  PAGE_BYTES,
  PAGE_ENTRIES,
  pageAt,
  setEntry,
  STATE,
} from "./bat.ts";
import { bitmapIndex, bytesOfBlock, type Geometry, payloadIndex, piecesOf } from "./bat_layout.ts";
import { SECTOR_4K } from "./header.ts";
import { type Headers, headersOf } from "./header_update.ts";
import { MIB } from "./limits.ts";
import { type Image, readImage } from "./structures.ts";
import { CLOSE_IT } from "./log.ts";
import { type LoggedStorage, loggedStorage } from "./log_write.ts";
import { backingOf } from "./parent_locator.ts";
import { usedEnd } from "./file_allocation.ts";
import { bitAt, BITMAP_PIECE, bitsOf, fillBits } from "./sector_bitmap.ts";

/** Bitmaps and pieces of the BAT held while they change. */
const BITMAP_CACHE_BYTES = 2 << 20;
const BAT_CACHE_BYTES = 4 << 20;
/** What one part changes at most, in sectors: bits of the largest block, which may begin inside a sector, and two entries. */
const PART_SECTORS = BITMAP_PIECE / SECTOR_4K + 1 + 2;

/** A part of one block: guest bytes `[begin, end)`, with the bytes to be written, or `null` for zeroes. */
interface Part {
  readonly block: number;
  /** From the start of the block. */
  readonly within: number;
  readonly begin: number;
  readonly end: number;
  readonly from: Uint8Array | null;
}

/**
 * Opens an existing image for writing.
 *
 * @throws ImageError as opening for reading does; `unsupported` if its log is in use, `corrupt` if blocks share a place
 */
export async function editVhdx(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const { metadata, geometry } = image;
  if (image.dirty) {
    const message = `Cannot write into "${storage.label}": it was not closed, and its log is in use; ${CLOSE_IT}`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const fileEnd = Math.max(await usedEnd(image.bat), alignUp(storage.size, MIB));
  const below = metadata.parent && await context.openBacking(backingOf(metadata.parent));
  const editor = new Editor(storage, image, { below, fileEnd, fills: await hasNoHoles(storage) });
  const turn = serialize();
  const cheap = storage.zeroesCheaply || !metadata.leavesAllocated;
  return {
    traits: {
      size: geometry.size,
      clusterSize: geometry.blockSize,
      sector: metadata.logicalSector,
      compress: false,
      order: "any",
      startsZeroed: false,
      zeroes: cheap ? "cheap" : "written",
    },
    write: (from, start) =>
      turn(async () => {
        for (const piece of piecesOf(geometry, start, start + from.length)) {
          await editor.put({ ...piece, from: from.subarray(piece.begin - start, piece.end - start) });
        }
      }),
    zero: (start, end) =>
      turn(async () => {
        for (const piece of piecesOf(geometry, start, end)) await editor.put({ ...piece, from: null });
      }),
    finish: () => turn(() => editor.finish()),
  };
}

/** So many places are used again at one time, because each time the log has to be written. */
const REUSED_TOGETHER = 8;

/** A place for a block that nobody has; with whether it reads as zeroes. */
interface Place {
  readonly fileOffset: number;
  readonly clean: boolean;
}

/** What an image being edited is surrounded by. */
interface Surroundings {
  /** What shows where the image says nothing. */
  readonly below: GuestReader | null;
  /** Where the file has room, in file bytes. */
  readonly fileEnd: number;
  /** Whether the file has no holes, so that none shall be made in it. */
  readonly fills: boolean;
}

/** The state of an image being edited. */
class Editor {
  readonly #storage: WritableStorage;
  readonly #headers: Headers;
  readonly #logged: LoggedStorage;
  readonly #below: GuestReader | null;
  readonly #fixed: boolean;
  readonly #fills: boolean;
  readonly #geometry: Geometry;
  readonly #bat: Bat;
  readonly #bitmaps;
  /** Places of blocks that have become zero. */
  readonly #free: Place[] = [];
  /** Those that the BAT in the file still has. */
  readonly #freed: Place[] = [];
  /** Sectors of BAT and bitmaps that were changed since the log was written. */
  readonly #touched = new Set<number>();
  #fileEnd: number;
  #begun = false;

  constructor(storage: WritableStorage, image: Image, { below, fileEnd, fills }: Surroundings) {
    this.#storage = storage;
    this.#headers = headersOf(storage, image.header);
    this.#logged = loggedStorage(storage, this.#headers);
    this.#below = below;
    this.#fixed = image.metadata.leavesAllocated;
    this.#geometry = image.geometry;
    this.#bat = { ...image.bat, pages: tableCache(this.#logged, PAGE_BYTES, BAT_CACHE_BYTES) };
    this.#bitmaps = tableCache(this.#logged, BITMAP_PIECE, BITMAP_CACHE_BYTES);
    this.#fileEnd = fileEnd;
    this.#fills = fills;
  }

  /** Carries out one part. */
  async put(part: Part): Promise<void> {
    await this.#begin();
    // One part more must find room in the log.
    if (this.#touched.size + PART_SECTORS > this.#logged.room) await this.#settle();
    const whole = part.end - part.begin === bytesOfBlock(this.#geometry, part.block);
    const entry = await blockAt(this.#bat, part.block);
    const silent = entry.state === STATE.notPresent && this.#bat.differencing;
    const partial = silent || entry.state === STATE.partiallyPresent;
    if (part.from === null && whole && !this.#fixed) return await this.#drop(part.block, entry);
    if (partial && !whole) return await this.#putSectors(part, entry);
    if (part.from === null && entry.fileOffset === 0) return await this.#drop(part.block, entry);
    // The last block of a disk may be longer than what is written of it.
    const fileOffset = entry.fileOffset || await this.#takePlace(part.end - part.begin === this.#geometry.blockSize);
    await this.#putBytes(part, fileOffset);
    if (entry.state !== STATE.fullyPresent) await this.#setBlock(part.block, STATE.fullyPresent, fileOffset);
  }

  async finish(): Promise<void> {
    if (this.#begun) await this.#settle();
  }

  /** Before the first change both headers get new GUIDs ([MS-VHDX] 2.2.2). */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    await this.#headers.updateBoth({ fileWriteGuid: crypto.randomUUID(), dataWriteGuid: crypto.randomUUID() });
  }

  /** BAT and bitmaps become true in the file, all at one moment. */
  async #settle(): Promise<void> {
    await this.#bitmaps.flush();
    await this.#bat.pages.flush();
    await this.#logged.commit();
    this.#touched.clear();
    this.#free.push(...this.#freed.splice(0));
  }

  async #setBlock(block: number, state: number, fileOffset: number): Promise<void> {
    await this.#setEntry(payloadIndex(this.#geometry, block), state, fileOffset);
  }

  async #setEntry(index: number, state: number, fileOffset: number): Promise<void> {
    const at = pageAt(this.#bat, index);
    await this.#bat.pages.look(at, ({ view }) => {
      setEntry(view, index, state, fileOffset);
      this.#bat.pages.markDirty(at);
    });
    this.#touch(at + index % PAGE_ENTRIES * 8, 8);
  }

  #touch(fileOffset: number, length: number): void {
    for (let at = alignDown(fileOffset, SECTOR_4K); at < fileOffset + length; at += SECTOR_4K) this.#touched.add(at);
  }

  /** The block reads as zeroes from now on and gives up its place. */
  async #drop(block: number, { state, fileOffset }: BlockEntry): Promise<void> {
    if (state === STATE.zero) return;
    await this.#setBlock(block, STATE.zero, 0);
    if (fileOffset === 0) return;
    const clean = this.#storage.zeroesCheaply && !this.#fills;
    const end = Math.min(fileOffset + this.#geometry.blockSize, this.#storage.size);
    if (clean) await this.#storage.zeroAt(fileOffset, end);
    this.#freed.push({ fileOffset, clean });
  }

  /** A place for a block; zeroed, unless the block is going to be written as a `whole`. */
  async #takePlace(whole: boolean): Promise<number> {
    const { blockSize } = this.#geometry;
    // Before the BAT in the file has let go of a place, a crash would show its new content in the old block.
    if (this.#free.length === 0 && this.#freed.length >= REUSED_TOGETHER) await this.#settle();
    const free = this.#free.pop();
    if (free === undefined) return await this.#extend(blockSize, whole);
    const { fileOffset, clean } = free;
    if (!clean && !whole) await this.#zero(fileOffset, fileOffset + blockSize);
    else if (this.#storage.size < fileOffset + blockSize) await this.#storage.truncate(fileOffset + blockSize);
    return fileOffset;
  }

  /** Lengthens the file; what is new reads as zeroes, unless all of it is going to be written. */
  async #extend(length: number, whole = false): Promise<number> {
    const fileOffset = this.#fileEnd;
    this.#fileEnd += length;
    if (this.#fills && !whole) await this.#storage.reserve(fileOffset, this.#fileEnd, true);
    else await this.#storage.truncate(this.#fileEnd);
    return fileOffset;
  }

  async #zero(start: number, end: number): Promise<void> {
    await (this.#fills ? writeZeroes(this.#storage, start, end) : this.#storage.zeroAt(start, end));
  }

  async #putBytes({ from, begin, end, within }: Part, fileOffset: number): Promise<void> {
    if (from) await this.#storage.writeAt(from, fileOffset + within);
    else await this.#zero(fileOffset + within, fileOffset + within + end - begin);
  }

  /** A part of a block that shows what is beneath it where its sector bitmap says so. */
  async #putSectors(part: Part, entry: BlockEntry): Promise<void> {
    const { sectorSize, blockSize } = this.#geometry;
    const { block, within } = part;
    const bits = bitsOf(this.#geometry, block, await this.#bitmapOf(block));
    if (entry.state !== STATE.partiallyPresent) {
      await this.#fillBits(bits.pieceAt, bits.firstBit, bits.firstBit + blockSize / sectorSize, false);
    }
    const fileOffset = entry.fileOffset || await this.#takePlace(false);
    const withinEnd = within + part.end - part.begin;
    const first = bits.firstBit + Math.floor(within / sectorSize);
    const last = bits.firstBit + Math.floor((withinEnd - 1) / sectorSize);
    // A sector counts as a whole: what is not written of the first and the last comes from beneath.
    const edges = new Set<number>();
    if (within % sectorSize !== 0) edges.add(first);
    if (withinEnd % sectorSize !== 0) edges.add(last);
    for (const bit of edges) {
      if (await this.#bitmaps.look(bits.pieceAt, ({ bytes }) => bitAt(bytes, bit))) continue;
      const sector = new Uint8Array(sectorSize);
      const sectorWithin = (bit - bits.firstBit) * sectorSize;
      await this.#below?.read(sector, block * blockSize + sectorWithin);
      await this.#storage.writeAt(sector, fileOffset + sectorWithin);
    }
    await this.#putBytes(part, fileOffset);
    await this.#fillBits(bits.pieceAt, first, last + 1, true);
    if (entry.state !== STATE.partiallyPresent) await this.#setBlock(block, STATE.partiallyPresent, fileOffset);
  }

  async #fillBits(pieceAt: number, from: number, to: number, value: boolean): Promise<void> {
    await this.#bitmaps.look(pieceAt, ({ bytes }) => {
      fillBits(bytes, from, to, value);
      this.#bitmaps.markDirty(pieceAt);
    });
    this.#touch(pieceAt + (from >> 3), (to - from >> 3) + 1);
  }

  /** The bitmap block of the block's chunk, which gets one if it has none. */
  async #bitmapOf(block: number): Promise<number> {
    const there = await bitmapPlace(this.#bat, block);
    if (there !== 0) return there;
    const fileOffset = await this.#extend(MIB);
    await this.#setEntry(bitmapIndex(this.#geometry, block), STATE.fullyPresent, fileOffset);
    return fileOffset;
  }
}
