/**
 * Writing into an existing image. New blocks are allocated at the end of the file; changes of BAT and sector bitmaps pass
 * through the log.
 *
 * @module
 */
import { alignDown, alignUp, MIB } from "../bytes.ts";
import type { DiskWriter, EditContext } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { hasNoHoles, writeZeroes } from "../shared/uninitialised_blocks.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import {
  type Bat,
  bitmapOffset,
  blockAt,
  type BlockEntry,
  PAGE_BYTES,
  PAGE_ENTRIES,
  pageOffsetOf,
  setEntry,
  STATE,
} from "./bat.ts";
import { bitmapIndex, blockPartsOf, bytesOfBlock, type Geometry, payloadIndex } from "./bat_layout.ts";
import { type Headers, headersOf, SECTOR_4K } from "./header.ts";
import { type Image, readImage } from "./structures.ts";
import { CLOSE_HINT } from "./log.ts";
import { type LoggedStorage, loggedStorage } from "./log_write.ts";
import { backingOf } from "./parent_locator.ts";
import { usedEnd } from "./file_allocation.ts";
import { bitAt, bitLocationOf, BITMAP_PAGE_BYTES, fillBits } from "./sector_bitmap.ts";

/** Bytes of bitmaps, and of pages of the BAT, in memory. */
const BITMAP_CACHE_BYTES = 2 << 20;
const BAT_CACHE_BYTES = 4 << 20;
/** Sectors that one part changes at most: bits of the largest block, which may begin inside a sector, and two BAT entries. */
const PART_SECTORS = BITMAP_PAGE_BYTES / SECTOR_4K + 1 + 2;

/** A part of one block: guest bytes `[begin, end)`, and the bytes to write, or `null` for zeroes. */
interface Part {
  readonly block: number;
  /** Offset in the block. */
  readonly within: number;
  readonly begin: number;
  readonly end: number;
  readonly from: Uint8Array | null;
}

/**
 * Opens an existing image for writing.
 *
 * @throws ImageError as opening for reading does; `unsupported` if its log is in use, `corrupt` if blocks overlap
 */
export async function editVhdx(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const { metadata, geometry } = image;
  if (image.dirty) {
    const message = `Cannot write into "${storage.label}": it was not closed, and its log is in use; ${CLOSE_HINT}`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const fileEnd = Math.max(await usedEnd(image.bat), alignUp(storage.size, MIB));
  const parent = metadata.parent && await context.openBacking(backingOf(metadata.parent));
  const editor = new Editor(storage, image, {
    parent,
    fileEnd,
    noHoles: await hasNoHoles(storage),
    beforeNewId: context.beforeNewId,
  });
  const exclusive = serialize();
  const cheap = storage.zeroesCheaply || !metadata.leavesAllocated;
  return {
    traits: {
      size: geometry.size,
      clusterSize: geometry.blockSize,
      sector: metadata.logicalSector,
      logicalSectorSize: metadata.logicalSector,
      compress: false,
      order: "any",
      startsZeroed: false,
      zeroes: cheap ? "cheap" : "written",
    },
    write: (from, start) =>
      exclusive(async () => {
        for (const piece of blockPartsOf(geometry, start, start + from.length)) {
          await editor.put({ ...piece, from: from.subarray(piece.begin - start, piece.end - start) });
        }
      }),
    zero: (start, end) =>
      exclusive(async () => {
        for (const piece of blockPartsOf(geometry, start, end)) await editor.put({ ...piece, from: null });
      }),
    finish: () => exclusive(() => editor.finish()),
  };
}

/** Freed blocks that are reused together, because the log must be written before. */
const REUSE_BATCH = 8;

/** A free block of the file; `clean`: it reads as zeroes. */
interface FreeBlock {
  readonly fileOffset: number;
  readonly clean: boolean;
}

/** The inputs of the editor besides the image. */
interface Surroundings {
  /** The parent of a differencing image. */
  readonly parent: GuestReader | null;
  /** File offset after the last byte in use, where blocks are allocated. */
  readonly fileEnd: number;
  /** Whether the file has no holes, and must get none. */
  readonly noHoles: boolean;
  readonly beforeNewId: EditContext["beforeNewId"];
}

/** The state of an image being edited. */
class Editor {
  readonly #storage: WritableStorage;
  readonly #headers: Headers;
  readonly #logged: LoggedStorage;
  readonly #parent: GuestReader | null;
  readonly #fixed: boolean;
  readonly #noHoles: boolean;
  readonly #beforeNewId: Surroundings["beforeNewId"];
  readonly #geometry: Geometry;
  readonly #bat: Bat;
  readonly #bitmaps;
  /** Free blocks, to be reused. */
  readonly #free: FreeBlock[] = [];
  /** Blocks that became free, to which the BAT in the file still refers. */
  readonly #freed: FreeBlock[] = [];
  /** File offsets of the sectors of BAT and bitmaps that were changed since the last commit. */
  readonly #changedSectors = new Set<number>();
  #fileEnd: number;
  #begun = false;

  constructor(storage: WritableStorage, image: Image, { parent, fileEnd, noHoles, beforeNewId }: Surroundings) {
    this.#storage = storage;
    this.#headers = headersOf(storage, image.header);
    this.#logged = loggedStorage(storage, this.#headers);
    this.#parent = parent;
    this.#fixed = image.metadata.leavesAllocated;
    this.#geometry = image.geometry;
    this.#bat = { ...image.bat, pages: tableCache(this.#logged, PAGE_BYTES, BAT_CACHE_BYTES) };
    this.#bitmaps = tableCache(this.#logged, BITMAP_PAGE_BYTES, BITMAP_CACHE_BYTES);
    this.#fileEnd = fileEnd;
    this.#noHoles = noHoles;
    this.#beforeNewId = beforeNewId;
  }

  /** Writes one part. */
  async put(part: Part): Promise<void> {
    await this.#begin();
    // The log must have room for this part.
    if (this.#changedSectors.size + PART_SECTORS > this.#logged.capacity) await this.#commit();
    const whole = part.end - part.begin === bytesOfBlock(this.#geometry, part.block);
    const entry = await blockAt(this.#bat, part.block);
    const silent = entry.state === STATE.notPresent && this.#bat.differencing;
    const partial = silent || entry.state === STATE.partiallyPresent;
    if (part.from === null && whole && !this.#fixed) return await this.#drop(part.block, entry);
    if (partial && !whole) return await this.#putSectors(part, entry);
    if (part.from === null && entry.fileOffset === 0) return await this.#drop(part.block, entry);
    // The last block may extend past the end of the disk, so that a write of all its guest bytes leaves a rest.
    const fileOffset = entry.fileOffset ||
      await this.#allocateBlock(part.end - part.begin === this.#geometry.blockSize);
    await this.#putBytes(part, fileOffset);
    if (entry.state !== STATE.fullyPresent) await this.#setBlock(part.block, STATE.fullyPresent, fileOffset);
  }

  async finish(): Promise<void> {
    if (this.#begun) await this.#commit();
  }

  /** Gives both headers new GUIDs before the first change ([MS-VHDX] 2.2.2). */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    await this.#beforeNewId?.();
    await this.#headers.updateBoth({ fileWriteGuid: crypto.randomUUID(), dataWriteGuid: crypto.randomUUID() });
  }

  /** Writes the changes of BAT and bitmaps, atomically. */
  async #commit(): Promise<void> {
    await this.#bitmaps.flush();
    await this.#bat.pages.flush();
    await this.#logged.commit();
    this.#changedSectors.clear();
    this.#free.push(...this.#freed.splice(0));
  }

  async #setBlock(block: number, state: number, fileOffset: number): Promise<void> {
    await this.#setEntry(payloadIndex(this.#geometry, block), state, fileOffset);
  }

  async #setEntry(index: number, state: number, fileOffset: number): Promise<void> {
    const at = pageOffsetOf(this.#bat, index);
    await this.#bat.pages.look(at, ({ view }) => {
      setEntry(view, index, state, fileOffset);
      this.#bat.pages.markDirty(at);
    });
    this.#addChanged(at + index % PAGE_ENTRIES * 8, 8);
  }

  #addChanged(fileOffset: number, length: number): void {
    for (let at = alignDown(fileOffset, SECTOR_4K); at < fileOffset + length; at += SECTOR_4K) {
      this.#changedSectors.add(at);
    }
  }

  /** Makes the block read as zeroes, and frees its space. */
  async #drop(block: number, { state, fileOffset }: BlockEntry): Promise<void> {
    if (state === STATE.zero) return;
    await this.#setBlock(block, STATE.zero, 0);
    if (fileOffset === 0) return;
    const clean = this.#storage.zeroesCheaply && !this.#noHoles;
    const end = Math.min(fileOffset + this.#geometry.blockSize, this.#storage.size);
    if (clean) await this.#storage.zeroAt(fileOffset, end);
    this.#freed.push({ fileOffset, clean });
  }

  /** Allocates a block; zeroes it, unless the caller writes the `whole` block. */
  async #allocateBlock(whole: boolean): Promise<number> {
    const { blockSize } = this.#geometry;
    // While the BAT in the file refers to the freed block, a crash would show the new content in the old guest block.
    if (this.#free.length === 0 && this.#freed.length >= REUSE_BATCH) await this.#commit();
    const free = this.#free.pop();
    if (free === undefined) return await this.#extend(blockSize, whole);
    const { fileOffset, clean } = free;
    if (!clean && !whole) await this.#zero(fileOffset, fileOffset + blockSize);
    else if (this.#storage.size < fileOffset + blockSize) await this.#storage.truncate(fileOffset + blockSize);
    return fileOffset;
  }

  /** Extends the file; the new bytes read as zeroes, unless the caller writes all of them. */
  async #extend(length: number, whole = false): Promise<number> {
    const fileOffset = this.#fileEnd;
    this.#fileEnd += length;
    if (this.#noHoles && !whole) await this.#storage.reserve(fileOffset, this.#fileEnd, true);
    else await this.#storage.truncate(this.#fileEnd);
    return fileOffset;
  }

  async #zero(start: number, end: number): Promise<void> {
    await (this.#noHoles ? writeZeroes(this.#storage, start, end) : this.#storage.zeroAt(start, end));
  }

  async #putBytes({ from, begin, end, within }: Part, fileOffset: number): Promise<void> {
    if (from) await this.#storage.writeAt(from, fileOffset + within);
    else await this.#zero(fileOffset + within, fileOffset + within + end - begin);
  }

  /** Writes a part of a block that is partially present, and sets its bits in the sector bitmap. */
  async #putSectors(part: Part, entry: BlockEntry): Promise<void> {
    const { sectorSize, blockSize } = this.#geometry;
    const { block, within } = part;
    const bits = bitLocationOf(this.#geometry, block, await this.#bitmapOf(block));
    if (entry.state !== STATE.partiallyPresent) {
      await this.#fillBits(bits.pageOffset, bits.firstBit, bits.firstBit + blockSize / sectorSize, false);
    }
    const fileOffset = entry.fileOffset || await this.#allocateBlock(false);
    const withinEnd = within + part.end - part.begin;
    const first = bits.firstBit + Math.floor(within / sectorSize);
    const last = bits.firstBit + Math.floor((withinEnd - 1) / sectorSize);
    // A bit stands for a whole sector: the unwritten bytes of the first and the last sector are copied from the parent.
    const edges = new Set<number>();
    if (within % sectorSize !== 0) edges.add(first);
    if (withinEnd % sectorSize !== 0) edges.add(last);
    for (const bit of edges) {
      if (await this.#bitmaps.look(bits.pageOffset, ({ bytes }) => bitAt(bytes, bit))) continue;
      const sector = new Uint8Array(sectorSize);
      const sectorWithin = (bit - bits.firstBit) * sectorSize;
      await this.#parent?.read(sector, block * blockSize + sectorWithin);
      await this.#storage.writeAt(sector, fileOffset + sectorWithin);
    }
    await this.#putBytes(part, fileOffset);
    await this.#fillBits(bits.pageOffset, first, last + 1, true);
    if (entry.state !== STATE.partiallyPresent) await this.#setBlock(block, STATE.partiallyPresent, fileOffset);
  }

  async #fillBits(pageOffset: number, from: number, to: number, value: boolean): Promise<void> {
    await this.#bitmaps.look(pageOffset, ({ bytes }) => {
      fillBits(bytes, from, to, value);
      this.#bitmaps.markDirty(pageOffset);
    });
    this.#addChanged(pageOffset + (from >> 3), (to - from >> 3) + 1);
  }

  /** Returns the file offset of the sector bitmap for the chunk of a block, and allocates it if necessary. */
  async #bitmapOf(block: number): Promise<number> {
    const there = await bitmapOffset(this.#bat, block);
    if (there !== 0) return there;
    const fileOffset = await this.#extend(MIB);
    await this.#setEntry(bitmapIndex(this.#geometry, block), STATE.fullyPresent, fileOffset);
    return fileOffset;
  }
}
