/**
 * The batmap of images by XenServer and XCP-ng, which the VHD specification does not have: one bit for each BAT entry, the
 * most significant bit of a byte first. A set bit states that the block is allocated and that its sector bitmap has no
 * clear bit, so that readers need not read it; a clear bit states nothing. The sector behind the BAT is the header of the
 * batmap ("struct dd_batmap_hdr" of Xen's blktap): cookie, file offset of the bits, their length in sectors, version and
 * checksum; all fields are big-endian.
 *
 * @module
 */
import { FREE } from "../shared/block_table.ts";
import { alignUp, asciiText, ceilDiv, SECTOR, setU64, viewOf } from "../bytes.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import type { DynamicHeader } from "./dynamic_header.ts";
import { checksum, writeText } from "./footer.ts";
import type { Blocks, VpcImage } from "./structures.ts";

/** "Creator Application" of images by XenServer and XCP-ng. */
export const XEN_CREATOR = "tap\0";
/** "Creator Version" of these images: 1.3, which states a batmap. */
export const XEN_CREATOR_VERSION = 0x0001_0003;

/** From this creator version on, a dynamic image must have a batmap; images of version 1.1 may have one. */
const REQUIRED_FROM = 0x0001_0002;
const POSSIBLE_FROM = 0x0001_0001;

const COOKIE = "tdbatmap";
const VERSION = 0x0001_0002;
const CHECKSUM_AT = 24;
/** Most bytes of bits, which are in memory: one bit for each of as many blocks as a BAT may have here. */
const MAX_BITS_BYTES = 2 << 20;

/** A batmap, with its bits in memory. */
export interface Batmap {
  /** Bytes of the header: marker and key hash behind the checksum stay as they are. */
  readonly header: Uint8Array;
  /** File offset of the bits. */
  readonly bitsOffset: number;
  /** Whole sectors. */
  readonly bits: Uint8Array;
}

/** The batmap of an image: `absent` where its creator states none. `fault` ends a sentence. */
export type BatmapState =
  | { readonly kind: "absent" }
  | { readonly kind: "invalid"; readonly fault: string }
  | { readonly kind: "valid"; readonly batmap: Batmap };

/** A range of the file. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
}

/** Returns the file offset of the header of the batmap: the end of the BAT with all its entries, in whole sectors. */
export function batmapOffset({ tableOffset, tableEntries }: Pick<DynamicHeader, "tableOffset" | "tableEntries">) {
  return tableOffset + alignUp(tableEntries * 4, SECTOR);
}

/** Returns the bytes of the bits for a BAT of `entries`, in whole sectors. */
export function batmapBitsBytes(entries: number): number {
  return Math.max(SECTOR, alignUp(ceilDiv(entries, 8), SECTOR));
}

/** Reads the batmap of an image. It is invalid where a XenServer would refuse it, or where it lies over a structure. */
export async function readBatmap(storage: Storage, { footer, blocks }: VpcImage): Promise<BatmapState> {
  const { creator, creatorVersion } = footer;
  if (blocks === null || creator !== XEN_CREATOR || creatorVersion < POSSIBLE_FROM) return { kind: "absent" };
  const invalid = (fault: string): BatmapState =>
    creatorVersion < REQUIRED_FROM ? { kind: "absent" } : { kind: "invalid", fault };
  const headerOffset = batmapOffset(blocks.header);
  if (headerOffset + SECTOR > storage.size) return invalid("is missing");
  const header = new Uint8Array(SECTOR);
  await storage.readAt(header, headerOffset);
  if (asciiText(header.subarray(0, 8)) !== COOKIE) return invalid("is missing");
  const view = viewOf(header);
  const bitsOffset = Number(view.getBigUint64(8));
  const bytes = view.getUint32(16) * SECTOR;
  if (view.getUint32(20) > VERSION) return invalid("has an unknown version");
  if (bytes < ceilDiv(blocks.header.tableEntries, 8) || bytes > MAX_BITS_BYTES) return invalid("has a wrong length");
  const isBehind = bitsOffset >= headerOffset + SECTOR && bitsOffset + bytes <= Math.min(blocks.limit, storage.size);
  if (!isBehind || bitsOffset % SECTOR !== 0) return invalid("has a wrong location");
  const bits = new Uint8Array(bytes);
  await storage.readAt(bits, bitsOffset);
  // Version 1.1 added the bytes as signed numbers.
  const expected = view.getUint32(CHECKSUM_AT);
  if (expected !== checksum(bits, bytes) && expected !== signedChecksum(bits)) return invalid("has a wrong checksum");
  return { kind: "valid", batmap: { header, bitsOffset, bits } };
}

function signedChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte < 0x80 ? byte : byte - 0x100;
  return ~sum >>> 0;
}

/** Returns the ranges of the file that the batmap of an image takes. */
export function batmapRanges({ header }: Blocks, state: BatmapState): readonly FileRange[] {
  if (state.kind !== "valid") return [];
  const { bitsOffset, bits } = state.batmap;
  const start = batmapOffset(header);
  return [{ start, end: start + SECTOR }, { start: bitsOffset, end: bitsOffset + bits.length }];
}

/**
 * Writes a batmap with its header at `headerOffset`, which is behind the BAT. The bits come first. Until the header is
 * written the checksum is wrong, and XenServer refuses the image; no reader of guest bytes uses it then.
 */
export async function writeBatmap(
  storage: WritableStorage,
  headerOffset: number,
  { header, bitsOffset, bits }: Batmap,
): Promise<void> {
  await storage.writeAt(bits, bitsOffset);
  await storage.writeAt(sealed(header, bitsOffset, bits), headerOffset);
}

function sealed(header: Uint8Array, bitsOffset: number, bits: Uint8Array): Uint8Array {
  const bytes = header.slice();
  const view = viewOf(bytes);
  writeText(bytes, 0, COOKIE);
  setU64(view, 8, bitsOffset);
  view.setUint32(16, bits.length / SECTOR);
  view.setUint32(20, VERSION);
  view.setUint32(CHECKSUM_AT, checksum(bits, bits.length));
  return bytes;
}

/**
 * Returns the batmap for a BAT of `entries` at `tableOffset`, directly behind it: the bits of the first `kept` entries of
 * `state`, all others clear, which is true for every block.
 */
export function batmapFor(state: BatmapState, tableOffset: number, entries: number, kept: number): Batmap {
  const bits = new Uint8Array(batmapBitsBytes(entries));
  const old = state.kind === "valid" ? state.batmap : null;
  if (old !== null) bits.set(old.bits.subarray(0, bits.length));
  clearBits(bits, kept);
  const header = old?.header ?? new Uint8Array(SECTOR);
  return { header, bitsOffset: batmapOffset({ tableOffset, tableEntries: entries }) + SECTOR, bits };
}

/** Returns the batmap of a new image, whose allocated blocks have no clear bit in their sector bitmaps. */
export async function newBatmap(bat: Blocks["bat"], tableOffset: number): Promise<Batmap> {
  const batmap = batmapFor({ kind: "absent" }, tableOffset, bat.entries, 0);
  for (let index = 0; index < bat.entries;) {
    const page = await bat.load(index);
    for (; index < page.end; index++) if (page.entry(index) !== FREE) setBit(batmap.bits, index);
  }
  return batmap;
}

/** Returns whether the bit of BAT entry `index` is set. */
export function hasBit(bits: Uint8Array, index: number): boolean {
  return (bits[index >> 3]! & (0x80 >> (index & 7))) !== 0;
}

function setBit(bits: Uint8Array, index: number): void {
  bits[index >> 3]! |= 0x80 >> (index & 7);
}

/** Clears the bit of BAT entry `index`. */
export function clearBit(bits: Uint8Array, index: number): void {
  bits[index >> 3]! &= ~(0x80 >> (index & 7));
}

/** Clears the bits from BAT entry `first` on. */
function clearBits(bits: Uint8Array, first: number): void {
  for (let index = first; (index & 7) !== 0 && index < bits.length * 8; index++) clearBit(bits, index);
  bits.fill(0, ceilDiv(first, 8));
}

/**
 * Calls `wrong` for each block whose bit is set though the block is not allocated, lies outside the file, or has clear bits
 * in its sector bitmap.
 */
export async function findWrongBits(
  blocks: Blocks,
  { bits }: Batmap,
  wrong: (index: number) => void,
  checkpoint: () => Promise<void>,
): Promise<void> {
  const { storage, bat, bitmapBytes, header: { blockSize } } = blocks;
  const bitmap = new Uint8Array(bitmapBytes);
  const sectors = blockSize / SECTOR;
  for (let index = 0; index < bat.entries; index++) {
    if (!hasBit(bits, index)) continue;
    const entry = (await bat.load(index)).entry(index);
    const start = entry * SECTOR;
    if (entry === FREE || start + bitmapBytes > storage.size) {
      wrong(index);
      continue;
    }
    await storage.readAt(bitmap, start);
    const last = sectors & 7;
    const isFull = bitmap.subarray(0, sectors >> 3).every((byte) => byte === 0xff) &&
      (last === 0 || (bitmap[sectors >> 3]! | 0xff >> last) === 0xff);
    if (!isFull) wrong(index);
    await checkpoint();
  }
}
