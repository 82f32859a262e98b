/**
 * Recording of writes in the enabled bitmaps of an existing image (specification, "Dirty tracking bitmaps").
 *
 * @module
 */
import { setU64, viewOf } from "../../bytes.ts";
import { corrupt } from "../../errors.ts";
import { BITMAP_FLAG, type BitmapEntry } from "./read.ts";
import { directoryBytes } from "./write.ts";
import type { Image } from "../image.ts";
import { hostOffsetOf } from "../mapping/l2_entry.ts";
import { readPadded } from "../file_reads.ts";

/** The bitmaps of an image being written. */
export interface BitmapTracker {
  /** All bitmaps as the directory has them after the last write. */
  entries(): readonly BitmapEntry[];
  /** Marks the enabled bitmaps as in use in the file, before the first write: their new bits are only in memory. */
  begin(): Promise<void>;
  /** Sets the bits of the guest bytes `[start, end)`. */
  record(start: number, end: number): void;
  /** Writes the bits. No table points at the new clusters yet. */
  writeBits(): Promise<void>;
  /** Writes the changed table entries. The refcounts of new clusters must be on stable storage before. */
  writeTables(): Promise<void>;
  /** Writes the directory in place, which makes the bitmaps consistent again. */
  writeDirectory(): Promise<void>;
}

/** An enabled bitmap with the bits to set, by cluster of the bitmap. */
interface TrackedBitmap {
  readonly entry: BitmapEntry;
  readonly set: Map<number, Uint8Array>;
  /** Changed table entries: index, and file offset of the bits. */
  readonly moved: Map<number, number>;
}

/** Returns the tracker for the bitmaps in the directory of `image`. */
export function bitmapTracker(image: Image, directory: readonly BitmapEntry[]): BitmapTracker {
  const consistent = image.header.bitmapsConsistent;
  const inUse = (entry: BitmapEntry) => ({ ...entry, flags: entry.flags | BITMAP_FLAG.inUse });
  const isEnabled = ({ flags }: BitmapEntry) => (flags & (BITMAP_FLAG.auto | BITMAP_FLAG.inUse)) === BITMAP_FLAG.auto;
  // Bits with extra data of unknown meaning cannot be maintained: such a bitmap stays in use.
  const usable = ({ flags, extra }: BitmapEntry) =>
    extra.length === 0 || (flags & BITMAP_FLAG.extraDataCompatible) !== 0;
  const final = directory.map((entry) => !consistent || (isEnabled(entry) && !usable(entry)) ? inUse(entry) : entry);
  const tracked: TrackedBitmap[] = final.filter((entry) => isEnabled(entry) && usable(entry))
    .map((entry) => ({ entry, set: new Map(), moved: new Map() }));
  const changes = consistent && directory.some(isEnabled);

  async function write(entries: readonly BitmapEntry[]): Promise<void> {
    const extension = image.header.bitmaps;
    if (extension === null || !changes) return;
    await image.storage.writeAt(directoryBytes(entries), extension.directoryFileOffset);
  }

  return {
    entries: () => final,
    async begin() {
      await write(final.map((entry) => isEnabled(entry) ? inUse(entry) : entry));
    },
    record(start, end) {
      for (const { entry, set } of tracked) {
        const granularity = 2 ** entry.granularityBits;
        setBits(set, image.geometry.clusterSize, Math.floor(start / granularity), Math.ceil(end / granularity));
      }
    },
    async writeBits() {
      for (const one of tracked) for (const [index, bits] of one.set) await mergeBits(image, one, index, bits);
    },
    async writeTables() {
      for (const { entry, moved } of tracked) {
        for (const [index, fileOffset] of moved) {
          const bytes = new Uint8Array(8);
          setU64(viewOf(bytes), 0, fileOffset);
          await image.storage.writeAt(bytes, entry.table.fileOffset + index * 8);
        }
      }
    },
    writeDirectory: () => write(final),
  };
}

/** Sets the bits `[from, to)`, in clusters of `clusterSize` bytes that are added as needed. */
function setBits(set: Map<number, Uint8Array>, clusterSize: number, from: number, to: number): void {
  const perCluster = clusterSize * 8;
  for (let bit = from; bit < to;) {
    const index = Math.floor(bit / perCluster);
    const end = Math.min(to, (index + 1) * perCluster);
    let bits = set.get(index);
    if (bits === undefined) set.set(index, bits = new Uint8Array(clusterSize));
    fillBits(bits, bit - index * perCluster, end - index * perCluster);
    bit = end;
  }
}

/** Sets the bits `[from, to)` of `bits`. Bit 0 is the lowest of byte 0. */
export function fillBits(bits: Uint8Array, from: number, to: number): void {
  const wholeFrom = Math.ceil(from / 8);
  const wholeTo = Math.floor(to / 8);
  if (wholeFrom < wholeTo) bits.fill(0xff, wholeFrom, wholeTo);
  const headEnd = Math.min(to, wholeFrom * 8);
  for (let bit = from; bit < headEnd; bit++) bits[bit >>> 3] = bits[bit >>> 3]! | 1 << (bit & 7);
  for (let bit = Math.max(headEnd, wholeTo * 8); bit < to; bit++) bits[bit >>> 3] = bits[bit >>> 3]! | 1 << (bit & 7);
}

/** Merges bits into one cluster of a bitmap in the file. */
async function mergeBits(
  image: Image,
  { entry, moved }: TrackedBitmap,
  index: number,
  bits: Uint8Array,
): Promise<void> {
  const { storage, geometry: { clusterSize } } = image;
  if (index >= entry.table.entries) return;
  const at = entry.table.fileOffset + index * 8;
  const word = new Uint8Array(8);
  await storage.readAt(word, at);
  const view = viewOf(word);
  const fileOffset = hostOffsetOf(view.getUint32(0), view.getUint32(4));
  if (fileOffset % clusterSize !== 0 || fileOffset >= Math.max(storage.size, 1)) {
    throw corrupt(
      `Cannot change the bitmap "${entry.name}" of "${storage.label}": the table entry at byte ${at} names no cluster ` +
        "of the file",
      storage.label,
      at,
    );
  }
  if (fileOffset !== 0) {
    const old = new Uint8Array(clusterSize);
    await readPadded(storage, old, fileOffset);
    for (let nth = 0; nth < clusterSize; nth++) bits[nth] = bits[nth]! | old[nth]!;
    return await storage.writeAt(bits, fileOffset);
  }
  // Bit 0 of an entry without a cluster: all bits are set already.
  if ((view.getUint32(4) & 1) !== 0) return;
  const { first } = await image.allocator.allocate(1);
  await storage.writeAt(bits, first * clusterSize);
  moved.set(index, first * clusterSize);
}
