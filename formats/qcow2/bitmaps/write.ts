/**
 * Persistent dirty bitmaps (specification, "Bitmaps"): adding them to an image being written.
 *
 * @module
 */
import { alignUp, isPowerOfTwo, setU64, u64, viewOf } from "../../bytes.ts";
import type { Bitmap } from "../../bitmaps.ts";
import { ImageError } from "../../errors.ts";
import { BITMAP_FLAG, bitmapBytes, type BitmapEntry, clearBitsFrom, DIRTY_TRACKING } from "./read.ts";
import { BITMAP_ENTRY_BYTES, BITMAP_NAME_BYTES_MAX, BITMAPS_MAX } from "../header/types.ts";
import { encodeName } from "../header/extensions.ts";
import type { Image } from "../image.ts";

/** Limits of QEMU: 512 MiB of bits, 64 MiB of directory. */
const BITS_BYTES_MAX = 512 << 20;
const DIRECTORY_BYTES_MAX = 64 << 20;

/** Bitmaps to add to an image. */
export interface AddedBitmaps {
  /** Checks that these bitmaps can be added one after another. */
  check(bitmaps: readonly Bitmap[]): void;
  /** Writes a bitmap with its bits and table. */
  add(bitmap: Bitmap): Promise<void>;
  /** Writes a directory of all bitmaps and enters it in the header. Returns whether bitmaps were added. */
  finish(): Promise<boolean>;
}

/**
 * Returns the bitmaps to add to `image`.
 *
 * @param present returns the existing bitmaps; is called again by `finish`
 */
export function addedBitmaps(image: Image, present: () => readonly BitmapEntry[]): AddedBitmaps {
  const added: BitmapEntry[] = [];
  return {
    check(bitmaps) {
      const others = [...present(), ...added];
      for (const [nth, bitmap] of bitmaps.entries()) checkBitmap(image, bitmap, [...others, ...bitmaps.slice(0, nth)]);
    },
    async add(bitmap) {
      checkBitmap(image, bitmap, [...present(), ...added]);
      added.push(await writeBitmap(image, bitmap));
    },
    async finish() {
      if (added.length > 0) await writeDirectory(image, [...present(), ...added]);
      return added.length > 0;
    },
  };
}

/**
 * Checks that a bitmap can be added beside `others`.
 *
 * @throws ImageError `usage` or `unsupported`
 */
export function checkBitmap(
  { header, storage }: Pick<Image, "header" | "storage">,
  bitmap: Pick<Bitmap, "name" | "granularity" | "inconsistent">,
  others: readonly Pick<Bitmap, "name">[],
): void {
  const { name, granularity } = bitmap;
  const refuse = (kind: "usage" | "unsupported", problem: string): never => {
    throw new ImageError(kind, `Cannot add the bitmap "${name}" to "${storage.label}": ${problem}`, {
      path: storage.label,
    });
  };
  if (header.version === 2) refuse("unsupported", "bitmaps need compat=1.1");
  if (bitmap.inconsistent) refuse("unsupported", "it is inconsistent, so its bits are not valid");
  const nameBytes = new TextEncoder().encode(name).length;
  if (nameBytes < 1 || nameBytes > BITMAP_NAME_BYTES_MAX) {
    refuse("usage", `its name has ${nameBytes} bytes, must have 1 to ${BITMAP_NAME_BYTES_MAX}`);
  }
  if (!isPowerOfTwo(granularity) || granularity < 512 || granularity > 2 ** 31) {
    refuse("usage", `its granularity is ${granularity}, must be a power of two from 512 to ${2 ** 31}`);
  }
  if (others.some((other) => other.name === name)) refuse("usage", "there is one of this name already");
  if (others.length >= BITMAPS_MAX) refuse("unsupported", `there are ${others.length}, and can be no more`);
  const bytes = bitmapBytes(header.size, Math.log2(granularity));
  if (bytes > BITS_BYTES_MAX) {
    refuse("usage", `it has ${bytes} bytes of bits, must have at most ${BITS_BYTES_MAX}; use a larger granularity`);
  }
}

/** Writes bits and table of a new bitmap. Returns its directory entry. */
async function writeBitmap(image: Image, bitmap: Bitmap): Promise<BitmapEntry> {
  const granularityBits = Math.log2(bitmap.granularity);
  const entries = Math.ceil(bitmapBytes(image.header.size, granularityBits) / image.geometry.clusterSize);
  const bits = bitsWriter(image, Math.ceil(image.header.size / bitmap.granularity));
  for await (const piece of bitmap.pieces()) await bits.put(piece.offset, piece.bits);
  await bits.flush();
  return {
    name: bitmap.name,
    table: { fileOffset: entries === 0 ? 0 : await writeTable(image, bits.table), entries },
    flags: bitmap.enabled ? BITMAP_FLAG.auto : 0,
    type: DIRTY_TRACKING,
    granularityBits,
    extra: new Uint8Array(0),
  };
}

/** Returns a writer of bits, which holds one cluster at a time, with the table of its clusters. */
function bitsWriter(image: Image, bitCount: number) {
  const { storage, geometry: { clusterSize }, allocator } = image;
  const entries = Math.ceil(bitCount / 8 / clusterSize);
  const table = new Uint8Array(entries * 8);
  const view = viewOf(table);
  /** The cluster in memory: its index in the bitmap, and its bits. */
  let current = -1;
  let bits = new Uint8Array(0);

  async function flush(): Promise<void> {
    if (current === entries - 1) clearBitsFrom(bits, bitCount - current * clusterSize * 8);
    if (current < 0 || bits.every((byte) => byte === 0)) return;
    const known = u64(view, current * 8);
    const fileOffset = known !== 0 ? known : (await allocator.allocate(1)).first * clusterSize;
    setU64(view, current * 8, fileOffset);
    await storage.writeAt(bits, fileOffset);
  }

  async function load(index: number): Promise<void> {
    await flush();
    current = index;
    bits = new Uint8Array(clusterSize);
    const known = u64(view, index * 8);
    if (known !== 0) await storage.readAt(bits, known);
  }

  return {
    table,
    flush,
    /** Merges bits; `offset` in bytes of the bitmap. */
    async put(offset: number, piece: Uint8Array): Promise<void> {
      for (let done = 0; done < piece.length;) {
        const index = Math.floor((offset + done) / clusterSize);
        if (index >= entries) return;
        if (index !== current) await load(index);
        const at = (offset + done) % clusterSize;
        const part = piece.subarray(done, done + clusterSize - at);
        for (let nth = 0; nth < part.length; nth++) bits[at + nth] = bits[at + nth]! | part[nth]!;
        done += part.length;
      }
    },
  };
}

/** Writes a table into new clusters. Returns its file offset. */
async function writeTable(image: Image, bytes: Uint8Array): Promise<number> {
  const { clusterSize } = image.geometry;
  const whole = new Uint8Array(alignUp(bytes.length, clusterSize));
  whole.set(bytes);
  const fileOffset = await image.allocator.allocateAtEnd(whole.length / clusterSize) * clusterSize;
  await image.storage.writeAt(whole, fileOffset);
  return fileOffset;
}

async function writeDirectory(image: Image, entries: readonly BitmapEntry[]): Promise<void> {
  const bytes = directoryBytes(entries);
  if (bytes.length > DIRECTORY_BYTES_MAX) {
    throw new ImageError(
      "unsupported",
      `Cannot write the bitmap directory of "${image.storage.label}": it has ${bytes.length} bytes, ` +
        `must have at most ${DIRECTORY_BYTES_MAX}`,
      { path: image.storage.label },
    );
  }
  const directoryFileOffset = await writeTable(image, bytes);
  const bitmaps = { count: entries.length, directorySize: bytes.length, directoryFileOffset };
  image.header = { ...image.header, bitmaps, bitmapsConsistent: true };
}

/** Encodes a bitmap directory. Pure. */
export function directoryBytes(entries: readonly BitmapEntry[]): Uint8Array {
  const names = entries.map(({ name, nameBytes }) => encodeName(name, nameBytes));
  const lengths = entries.map(({ extra }, nth) => alignUp(BITMAP_ENTRY_BYTES + extra.length + names[nth]!.length, 8));
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const [nth, entry] of entries.entries()) {
    setU64(view, at, entry.table.fileOffset);
    view.setUint32(at + 8, entry.table.entries);
    view.setUint32(at + 12, entry.flags);
    view.setUint8(at + 16, entry.type);
    view.setUint8(at + 17, entry.granularityBits);
    view.setUint16(at + 18, names[nth]!.length);
    view.setUint32(at + 20, entry.extra.length);
    bytes.set(entry.extra, at + BITMAP_ENTRY_BYTES);
    bytes.set(names[nth]!, at + BITMAP_ENTRY_BYTES + entry.extra.length);
    at += lengths[nth]!;
  }
  return bytes;
}
