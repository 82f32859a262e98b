/**
 * Persistent dirty bitmaps (specification, "Bitmaps"): parser of the directory, reads of the bits.
 *
 * @module
 */
import { alignUp, viewOf } from "../../bytes.ts";
import type { Bitmap } from "../../bitmaps.ts";
import { corrupt, ImageError } from "../../errors.ts";
import type { Storage } from "../../storage/types.ts";
import { checkTable } from "../header/check.ts";
import { BITMAP_ENTRY_BYTES, BITMAP_NAME_BYTES_MAX, type Header, roundedU64 } from "../header/header.ts";
import { hostOffsetOf } from "../mapping/l2_entry.ts";
import { bytesOfName, decodeName } from "../header/extensions.ts";
import { type WindowReader, windowReader } from "../file_reads.ts";

/** The `type` of a dirty tracking bitmap, the only one that the specification defines. */
export const DIRTY_TRACKING = 1;
/** Bits of the flags field. */
export const BITMAP_FLAG = { inUse: 1, auto: 2, extraDataCompatible: 4 } as const;

/** One entry of the bitmap directory. */
export interface BitmapEntry {
  readonly name: string;
  /** Bytes of a name that is not UTF-8; written back unchanged. */
  readonly nameBytes?: readonly Uint8Array[];
  /** File offset and number of entries of the bitmap table. */
  readonly table: { readonly fileOffset: number; readonly entries: number };
  readonly flags: number;
  readonly type: number;
  /** The granularity is `2 ** granularityBits` guest bytes. */
  readonly granularityBits: number;
  readonly extra: Uint8Array;
}

/**
 * Reads the bitmap directory; empty where the image has no bitmaps. If autoclear bit 0 is clear, a directory that
 * cannot be read counts as empty: the program that wrote the image last did not support bitmaps and may have reused the
 * directory's clusters.
 *
 * @throws ImageError `corrupt`
 */
export async function readBitmapDirectory(storage: Storage, header: Header): Promise<BitmapEntry[]> {
  if (header.bitmaps === null) return [];
  try {
    return await readDirectory(storage, header, header.bitmaps);
  } catch (error) {
    if (!header.bitmapsConsistent && error instanceof ImageError && error.kind === "corrupt") return [];
    throw error;
  }
}

async function readDirectory(storage: Storage, header: Header, extension: NonNullable<Header["bitmaps"]>) {
  const entries: BitmapEntry[] = [];
  const names = new Set<string>();
  const bytesAt = windowReader(storage);
  const end = extension.directoryFileOffset + extension.directorySize;
  let at = extension.directoryFileOffset;
  for (let index = 0; index < extension.count; index++) {
    const { entry, length } = await readEntry(bytesAt, at, end, index, storage.label);
    checkEntry(entry, header, storage);
    if (names.has(entry.name)) {
      throw corrupt(`Cannot read the bitmaps of "${storage.label}": two are called "${entry.name}"`, storage.label, at);
    }
    names.add(entry.name);
    entries.push(entry);
    at += length;
  }
  if (at !== end) {
    throw corrupt(
      `Cannot read the bitmaps of "${storage.label}": their directory ends at byte ${at}, must end at ${end}`,
      storage.label,
      at,
    );
  }
  return entries;
}

async function readEntry(bytesAt: WindowReader, at: number, end: number, index: number, label: string) {
  const tooLong = () =>
    corrupt(`Cannot read bitmap ${index} of "${label}": its entry ends past the directory, at byte ${end}`, label, at);
  if (at + BITMAP_ENTRY_BYTES > end) throw tooLong();
  const fixed = viewOf(await bytesAt(at, BITMAP_ENTRY_BYTES));
  const nameLength = fixed.getUint16(18);
  const extraLength = fixed.getUint32(20);
  const length = alignUp(BITMAP_ENTRY_BYTES + extraLength + nameLength, 8);
  if (length > end - at) throw tooLong();
  if (nameLength < 1 || nameLength > BITMAP_NAME_BYTES_MAX) {
    throw corrupt(
      `Cannot read bitmap ${index} of "${label}": its name has ${nameLength} bytes, must have 1 to ${BITMAP_NAME_BYTES_MAX}`,
      label,
      at + 18,
    );
  }
  const bytes = await bytesAt(at, length);
  const view = viewOf(bytes);
  const nameAt = BITMAP_ENTRY_BYTES + extraLength;
  const stored = bytes.subarray(nameAt, nameAt + nameLength);
  const name = decodeName(stored);
  const nameBytes = bytesOfName(stored, name);
  const entry: BitmapEntry = {
    name,
    ...(nameBytes && { nameBytes: [nameBytes] }),
    table: { fileOffset: roundedU64(view, 0), entries: view.getUint32(8) },
    flags: view.getUint32(12),
    type: view.getUint8(16),
    granularityBits: view.getUint8(17),
    extra: bytes.slice(BITMAP_ENTRY_BYTES, nameAt),
  };
  return { entry, length };
}

/** Returns the bytes of bitmap data for a disk of `size` guest bytes. */
export function bitmapBytes(size: number, granularityBits: number): number {
  return Math.ceil(Math.ceil(size / 2 ** granularityBits) / 8);
}

function checkEntry(entry: BitmapEntry, header: Header, storage: Storage): void {
  const { label, size: fileSize } = storage;
  const fail = (problem: string): ImageError =>
    corrupt(`Cannot read the bitmap "${entry.name}" of "${label}": ${problem}`, label);
  if (entry.type !== DIRTY_TRACKING) throw fail(`its type is ${entry.type}, must be ${DIRTY_TRACKING}`);
  if ((entry.flags & ~7) !== 0) throw fail("reserved flags are set");
  if (entry.granularityBits < 9 || entry.granularityBits > 31) {
    throw fail(`its granularity bits are ${entry.granularityBits}, must be 9 to 31`);
  }
  const needed = Math.ceil(bitmapBytes(header.size, entry.granularityBits) / header.clusterSize);
  // A bitmap in use may date from another size of the disk.
  if ((entry.flags & BITMAP_FLAG.inUse) === 0 && entry.table.entries !== needed) {
    throw fail(`its table has ${entry.table.entries} entries, must have ${needed}`);
  }
  if (entry.table.entries > 0) {
    const table = { fileOffset: entry.table.fileOffset, bytes: entry.table.entries * 8 };
    checkTable(`table of bitmap "${entry.name}"`, table, { clusterSize: header.clusterSize, label, fileSize });
  }
}

/**
 * Returns the bitmaps of an image, without those whose extra data forbids their use.
 *
 * @throws ImageError `corrupt` as {@linkcode readBitmapDirectory} does; and from `pieces` for invalid table entries
 */
export function bitmapsOf(entries: readonly BitmapEntry[], storage: Storage, header: Header): Bitmap[] {
  return entries
    .filter(({ flags, extra }) => extra.length === 0 || (flags & BITMAP_FLAG.extraDataCompatible) !== 0)
    .map((entry) => ({
      name: entry.name,
      granularity: 2 ** entry.granularityBits,
      enabled: (entry.flags & BITMAP_FLAG.auto) !== 0,
      inconsistent: !header.bitmapsConsistent || (entry.flags & BITMAP_FLAG.inUse) !== 0,
      pieces: () => bitmapPieces(entry, storage, header),
    }));
}

/** Yields the bits, one cluster of the bitmap at a time; clusters without set bits are skipped. */
async function* bitmapPieces(
  entry: BitmapEntry,
  storage: Storage,
  header: Header,
): AsyncGenerator<{ readonly offset: number; readonly bits: Uint8Array }> {
  const { clusterSize } = header;
  const bitCount = Math.ceil(header.size / 2 ** entry.granularityBits);
  const bytes = Math.ceil(bitCount / 8);
  const bytesAt = windowReader(storage);
  for (let index = 0; index < entry.table.entries; index++) {
    const offset = index * clusterSize;
    if (offset >= bytes) return;
    const at = entry.table.fileOffset + index * 8;
    const view = viewOf(await bytesAt(at, 8));
    const bits = new Uint8Array(Math.min(clusterSize, bytes - offset));
    const there = await readBits(bits, view.getUint32(0), view.getUint32(4), { entry, at, storage, clusterSize });
    if (!there) continue;
    if (offset + bits.length === bytes) clearBitsFrom(bits, bitCount - offset * 8);
    yield { offset, bits };
  }
}

interface TableEntry {
  readonly entry: BitmapEntry;
  /** File offset of the table entry. */
  readonly at: number;
  readonly storage: Storage;
  readonly clusterSize: number;
}

/** Fills `bits` from the cluster of the table entry with these halves. Returns false if no bit is set. */
async function readBits(bits: Uint8Array, high: number, low: number, tableEntry: TableEntry): Promise<boolean> {
  const { entry, at, storage, clusterSize } = tableEntry;
  const fileOffset = hostOffsetOf(high, low);
  if (
    bitmapTableReservedSet(high, low) || fileOffset % clusterSize !== 0 || fileOffset + bits.length > storage.size
  ) {
    throw corrupt(
      `Cannot read the bitmap "${entry.name}" of "${storage.label}": the table entry at byte ${at} names no cluster of ` +
        "the file",
      storage.label,
      at,
    );
  }
  if (fileOffset === 0) {
    if ((low & 1) === 0) return false;
    bits.fill(0xff);
    return true;
  }
  await storage.readAt(bits, fileOffset);
  return bits.some((byte) => byte !== 0);
}

/**
 * Clears the bits from number `from` on: those past the end of the disk, which the specification requires to be clear,
 * and which an "all ones" table entry sets.
 */
export function clearBitsFrom(bits: Uint8Array, from: number): void {
  const byte = Math.floor(from / 8);
  if (byte >= bits.length) return;
  bits[byte] = bits[byte]! & (1 << from % 8) - 1;
  bits.fill(0, byte + 1);
}

/** Whether bits are set that a bitmap table entry must not have (specification, "Bitmap table"). Pure. */
export function bitmapTableReservedSet(high: number, low: number): boolean {
  return (high & 0xff000000) !== 0 || (low & (hostOffsetOf(high, low) === 0 ? 0x1fe : 0x1ff)) !== 0;
}
