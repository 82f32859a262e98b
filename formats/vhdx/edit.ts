/**
 * Writing into an existing VHDX image. Blocks that come get places at the end of the file; the BAT follows when they are
 * written. The log is not used: it stays empty.
 *
 * @module
 */
import { alignDown, alignUp, viewOf } from "../bytes.ts";
import type { DiskWriter, EditContext, GuestReader } from "../contract.ts";
import { corrupt, ImageError } from "../errors.ts";
import { inTurn } from "../in_turn.ts";
import type { WritableStorage } from "../storage/types.ts";
import { tableCache } from "../table_cache.ts";
import { type Bat, bitmapPlace, type BlockEntry, blockIn, PAGE_ENTRIES, pageAt, setEntry, STATE } from "./bat.ts";
import { bitmapIndex, bytesOfBlock, type Geometry, payloadIndex, piecesOf } from "./geometry.ts";
import { type CurrentHeader, encodeHeader, HEADERS_AT } from "./header.ts";
import { MIB } from "./limits.ts";
import { type Image, readImage } from "./image.ts";
import { CLOSE_IT } from "./log.ts";
import { backingOf } from "./parent_locator.ts";
import { bitAt, BITMAP_PIECE, bitsOf, fillBits } from "./sector_bitmap.ts";

/** Bitmaps held while they change. */
const BITMAP_CACHE_BYTES = 2 << 20;

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
  const fileEnd = await findEnd(image.bat);
  const below = metadata.parent && await context.openBelow(backingOf(metadata.parent));
  const editor = new Editor(storage, image, below, fileEnd);
  const turn = inTurn();
  const cheap = storage.zeroesCheaply || !metadata.leavesAllocated;
  return {
    traits: {
      size: geometry.size,
      unit: geometry.blockSize,
      sector: metadata.logicalSector,
      packs: false,
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
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Where new blocks may begin; also checks every entry of the BAT, and that no two share a place. */
async function findEnd(bat: Bat): Promise<number> {
  const { geometry, label } = bat;
  const taken = new Map<number, number>();
  const step = geometry.blockSize / MIB;
  const mark = (first: number, count: number, block: number) => {
    // Places are whole MiB. Bits of 32 of them are kept together.
    for (let at = first; at < first + count; at++) {
      const key = Math.floor(at / 32);
      const bits = taken.get(key) ?? 0;
      const bit = 1 << at % 32;
      if (bits & bit) {
        throw corrupt(`Cannot write into "${label}": block ${block} shares its place with another`, label, at * MIB);
      }
      taken.set(key, bits | bit);
    }
  };
  for (let block = 0; block < geometry.blocks;) {
    const first = payloadIndex(geometry, block);
    const page = viewOf(await bat.pages.get(pageAt(bat, first)));
    const pageEnd = alignDown(first, PAGE_ENTRIES) + PAGE_ENTRIES;
    for (; block < geometry.blocks && payloadIndex(geometry, block) < pageEnd; block++) {
      const { fileOffset } = blockIn(bat, page, block);
      if (fileOffset !== 0) mark(fileOffset / MIB, step, block);
    }
  }
  for (let block = 0; bat.differencing && block < geometry.blocks; block += geometry.chunkRatio) {
    const bitmapAt = await bitmapPlace(bat, block);
    if (bitmapAt !== 0) mark(bitmapAt / MIB, 1, block);
  }
  return Math.max(alignUp(bat.fileSize(), MIB), ...bat.areas.map((area) => area.end));
}

/** The state of an image being edited. */
class Editor {
  readonly #storage: WritableStorage;
  readonly #below: GuestReader | null;
  readonly #fixed: boolean;
  readonly #geometry: Geometry;
  readonly #bat: Bat;
  readonly #bitmaps;
  /** Places of blocks that have become zero; with whether they read as zeroes. */
  readonly #free: { readonly fileOffset: number; readonly clean: boolean }[] = [];
  #fileEnd: number;
  #header: CurrentHeader | null;

  constructor(storage: WritableStorage, image: Image, below: GuestReader | null, fileEnd: number) {
    this.#storage = storage;
    this.#below = below;
    this.#fixed = image.metadata.leavesAllocated;
    this.#geometry = image.geometry;
    this.#bat = image.bat;
    this.#bitmaps = tableCache(storage, BITMAP_PIECE, BITMAP_CACHE_BYTES);
    this.#fileEnd = fileEnd;
    this.#header = image.header;
  }

  /** Carries out one part. */
  async put(part: Part): Promise<void> {
    if (this.#header) await this.#begin(this.#header);
    const whole = part.end - part.begin === bytesOfBlock(this.#geometry, part.block);
    const entry = await this.#entry(part.block);
    const silent = entry.state === STATE.notPresent && this.#bat.differencing;
    const partial = silent || entry.state === STATE.partiallyPresent;
    if (part.from === null && whole && !this.#fixed) return await this.#drop(part.block, entry);
    if (partial && !whole) return await this.#putSectors(part, entry);
    if (part.from === null && entry.fileOffset === 0) return await this.#drop(part.block, entry);
    const fileOffset = entry.fileOffset || await this.#takePlace(whole);
    await this.#putBytes(part, fileOffset);
    if (entry.state !== STATE.fullyPresent) await this.#setBlock(part.block, STATE.fullyPresent, fileOffset);
  }

  async finish(): Promise<void> {
    await this.#bitmaps.flush();
    await this.#bat.pages.flush();
  }

  /**
   * Before the first change both headers get new GUIDs ([MS-VHDX] 2.2.2.1): first the one that does not count, which
   * makes it count, then the other.
   */
  async #begin(header: CurrentHeader): Promise<void> {
    this.#header = null;
    const renewed = { ...header, fileWriteGuid: crypto.randomUUID(), dataWriteGuid: crypto.randomUUID() };
    const { sequence, place } = header;
    await this.#storage.writeAt(encodeHeader({ ...renewed, sequence: sequence + 1n }), HEADERS_AT[1 - place]);
    await this.#storage.sync();
    await this.#storage.writeAt(encodeHeader({ ...renewed, sequence: sequence + 2n }), HEADERS_AT[place]);
  }

  async #entry(block: number): Promise<BlockEntry> {
    return blockIn(this.#bat, viewOf(await this.#bat.pages.get(this.#pageOf(block))), block);
  }

  #pageOf(block: number): number {
    return pageAt(this.#bat, payloadIndex(this.#geometry, block));
  }

  async #setBlock(block: number, state: number, fileOffset: number): Promise<void> {
    await this.#setEntry(payloadIndex(this.#geometry, block), state, fileOffset);
  }

  async #setEntry(index: number, state: number, fileOffset: number): Promise<void> {
    const at = pageAt(this.#bat, index);
    const page = await this.#bat.pages.get(at);
    setEntry(viewOf(page), index, state, fileOffset);
    this.#bat.pages.markDirty(at);
  }

  /** The block reads as zeroes from now on and gives up its place. */
  async #drop(block: number, { state, fileOffset }: BlockEntry): Promise<void> {
    if (state === STATE.zero) return;
    await this.#setBlock(block, STATE.zero, 0);
    if (fileOffset === 0) return;
    const clean = this.#storage.zeroesCheaply;
    const end = Math.min(fileOffset + this.#geometry.blockSize, this.#storage.size);
    if (clean) await this.#storage.zeroAt(fileOffset, end);
    this.#free.push({ fileOffset, clean });
  }

  /** A place for a block; zeroed, unless the block is going to be written as a `whole`. */
  async #takePlace(whole: boolean): Promise<number> {
    const { blockSize } = this.#geometry;
    const free = this.#free.pop();
    if (free === undefined) return await this.#extend(blockSize);
    const { fileOffset, clean } = free;
    if (!clean && !whole) await this.#storage.zeroAt(fileOffset, fileOffset + blockSize);
    else if (this.#storage.size < fileOffset + blockSize) await this.#storage.truncate(fileOffset + blockSize);
    return fileOffset;
  }

  /** Lengthens the file; what is new reads as zeroes. */
  async #extend(length: number): Promise<number> {
    const fileOffset = this.#fileEnd;
    this.#fileEnd += length;
    await this.#storage.truncate(this.#fileEnd);
    return fileOffset;
  }

  async #putBytes({ from, begin, end, within }: Part, fileOffset: number): Promise<void> {
    if (from) await this.#storage.writeAt(from, fileOffset + within);
    else await this.#storage.zeroAt(fileOffset + within, fileOffset + within + end - begin);
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
      if (bitAt(await this.#bitmaps.get(bits.pieceAt), bit)) continue;
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
    fillBits(await this.#bitmaps.get(pieceAt), from, to, value);
    this.#bitmaps.markDirty(pieceAt);
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
