/**
 * The header of a hosted sparse extent, by VMware's "Virtual Disk Format 5.0", "Hosted Sparse Extents" and
 * "Stream-Optimized Compressed Sparse Extents". All fields are little-endian and count sectors of 512 bytes; here they
 * are bytes.
 *
 * @module
 */
import { isPowerOfTwo, SECTOR, setU64, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import { SPARSE_MAGIC } from "./signatures.ts";

/** Bytes of a header and of a marker. */
export const HEADER_BYTES = SECTOR;

/** Offset of the byte that says that a writer has not closed the extent. */
export const UNCLEAN_AT = 72;

/** Bits of {@linkcode SparseHeader.flags}. */
export const FLAG = {
  /** The four line end characters of the header are valid. */
  newline: 1 << 0,
  /** There is a second, equal grain directory with tables of its own. */
  redundant: 1 << 1,
  /** A grain table entry of 1 stands for zeroes (version 2). */
  zeroed: 1 << 2,
  /** Grains are compressed. */
  compressed: 1 << 16,
  /** Grains and metadata are preceded by markers. */
  markers: 1 << 17,
} as const;

/** Sectors that fit an offset of 2^53 bytes. */
const MAX_SECTORS = 2 ** 44;

/** Grains are compressed and decompressed in memory as a whole; the usual grain has 64 KiB. */
const MAX_GRAIN_BYTES = 32 << 20;

/** The specification says 512; anything up to this is read. */
const MAX_TABLE_ENTRIES = 4096;

const LINE_ENDS = [0x0a, 0x20, 0x0d, 0x0a];

/** What a header says. Sizes and offsets in bytes. */
export interface SparseHeader {
  readonly version: number;
  readonly flags: number;
  /** Guest bytes of the extent. */
  readonly capacity: number;
  readonly grainBytes: number;
  /** Where the descriptor lies in the file; null where it has none. */
  readonly descriptor: { readonly fileOffset: number; readonly length: number } | null;
  readonly entriesPerTable: number;
  /** File offset of the redundant grain directory; 0: none. */
  readonly redundantDirectory: number;
  /** File offset of the grain directory; null where the footer at the end of the file tells. */
  readonly directory: number | null;
  /** File bytes before the first grain. */
  readonly overhead: number;
  /** Whether a writer left it without closing it. */
  readonly unclean: boolean;
  /** Whether grains are zlib streams. */
  readonly compressed: boolean;
}

/**
 * Reads and checks a header.
 *
 * @param bytes 512 bytes, which begin with the magic
 * @throws ImageError `corrupt`, `unsupported`
 */
export function parseHeader(bytes: Uint8Array, label: string): SparseHeader {
  const view = viewOf(bytes);
  const sectors = (at: number, what: string) => sectorField(view, at, what, label);
  const version = view.getUint32(4, true);
  if (version < 1 || version > 3) {
    throw new ImageError("unsupported", `Cannot open "${label}": it has version ${version}, must be 1 to 3`, {
      path: label,
      offset: 4,
    });
  }
  const flags = view.getUint32(8, true);
  if (flags & FLAG.newline && LINE_ENDS.some((value, index) => bytes[73 + index] !== value)) {
    const message = `Cannot open "${label}": the line ends in its header are not what they must be; ` +
      `the file was damaged, maybe by a transfer as text`;
    throw corrupt(message, label, 73);
  }
  const descriptorLength = sectors(36, "descriptor size");
  const descriptorOffset = sectors(28, "descriptor offset");
  return {
    version,
    flags,
    capacity: sectors(12, "capacity"),
    grainBytes: grainField(sectors(20, "grain size"), label),
    descriptor: descriptorOffset === 0 || descriptorLength === 0
      ? null
      : { fileOffset: descriptorOffset, length: descriptorLength },
    entriesPerTable: entriesField(view.getUint32(44, true), label),
    // Where the flag is not set the field says nothing.
    redundantDirectory: flags & FLAG.redundant ? sectors(48, "redundant grain directory") : 0,
    directory: isAtEnd(view) ? null : sectors(56, "grain directory"),
    overhead: isAllOnes(view, 64) ? 0 : sectors(64, "overhead"),
    unclean: bytes[UNCLEAN_AT] !== 0,
    compressed: isCompressed(flags, view.getUint16(77, true), label),
  };
}

/** The 512 bytes of a header. */
export function encodeHeader(header: SparseHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, SPARSE_MAGIC, true);
  view.setUint32(4, header.version, true);
  view.setUint32(8, header.flags, true);
  setU64(view, 12, header.capacity / SECTOR, true);
  setU64(view, 20, header.grainBytes / SECTOR, true);
  setU64(view, 28, (header.descriptor?.fileOffset ?? 0) / SECTOR, true);
  setU64(view, 36, (header.descriptor?.length ?? 0) / SECTOR, true);
  view.setUint32(44, header.entriesPerTable, true);
  setU64(view, 48, header.redundantDirectory / SECTOR, true);
  if (header.directory === null) bytes.fill(0xff, 56, 64);
  else setU64(view, 56, header.directory / SECTOR, true);
  setU64(view, 64, header.overhead / SECTOR, true);
  bytes[UNCLEAN_AT] = header.unclean ? 1 : 0;
  bytes.set(LINE_ENDS, 73);
  view.setUint16(77, header.compressed ? 1 : 0, true);
  return bytes;
}

/** How many grain tables cover the extent. */
export function tablesOf({ capacity, grainBytes, entriesPerTable }: SparseHeader): number {
  return Math.ceil(capacity / (grainBytes * entriesPerTable));
}

function sectorField(view: DataView, at: number, what: string, label: string): number {
  const sectors = view.getUint32(at + 4, true) > 0x1fffff ? Infinity : u64(view, at, true);
  if (sectors >= MAX_SECTORS) {
    const found = sectors === Infinity ? "at least 2^53" : `${sectors}`;
    throw corrupt(`Cannot open "${label}": its ${what} is ${found} sectors, must be below 2^44`, label, at);
  }
  return sectors * SECTOR;
}

function grainField(grainBytes: number, label: string): number {
  if (!isPowerOfTwo(grainBytes)) {
    const message = `Cannot open "${label}": its grain size is ${grainBytes} bytes, must be a power of two`;
    throw corrupt(message, label, 20);
  }
  if (grainBytes > MAX_GRAIN_BYTES) {
    const message = `Cannot open "${label}": its grain size is ${grainBytes} bytes, must be at most ${MAX_GRAIN_BYTES}`;
    throw new ImageError("unsupported", message, { path: label, offset: 20 });
  }
  return grainBytes;
}

function entriesField(entries: number, label: string): number {
  if (entries >= 1 && entries <= MAX_TABLE_ENTRIES) return entries;
  const message = `Cannot open "${label}": its grain tables have ${entries} entries, must be 1 to ${MAX_TABLE_ENTRIES}`;
  throw corrupt(message, label, 44);
}

function isCompressed(flags: number, algorithm: number, label: string): boolean {
  if (algorithm > 1) {
    const message = `Cannot open "${label}": its compression algorithm is ${algorithm}, must be 0 or 1 (deflate)`;
    throw new ImageError("unsupported", message, { path: label, offset: 77 });
  }
  const compressed = (flags & FLAG.compressed) !== 0;
  if (compressed && algorithm === 0) {
    throw corrupt(`Cannot open "${label}": its grains are compressed, but no algorithm is stated`, label, 77);
  }
  return compressed;
}

function isAtEnd(view: DataView): boolean {
  return isAllOnes(view, 56);
}

function isAllOnes(view: DataView, at: number): boolean {
  return view.getUint32(at) === 0xffffffff && view.getUint32(at + 4) === 0xffffffff;
}
