/**
 * The header of a hosted sparse extent, by VMware's "Virtual Disk Format 5.0", "Hosted Sparse Extents" and
 * "Stream-Optimized Compressed Sparse Extents", and the magics of all extent files. Header fields are little-endian and
 * count sectors of 512 bytes; {@linkcode SparseHeader} has bytes.
 *
 * @module
 */
import { isPowerOfTwo, SECTOR, setU64, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";

/** `KDMV`, the first four bytes of a hosted sparse extent. */
export const SPARSE_MAGIC = 0x564d444b;
/** `COWD`, the first four bytes of an ESX server sparse extent. */
export const COWD_MAGIC = 0x44574f43;
/** The first eight bytes of the constant header of `seSparse`, as two little-endian words of which the second is 0. */
export const SESPARSE_MAGIC = 0xcafebabe;

/** Returns whether a file that begins with `head` is an `seSparse` extent of major version 2. */
export function isSeSparse(head: Uint8Array): boolean {
  if (head.length < 16) return false;
  const view = viewOf(head);
  return view.getUint32(0, true) === SESPARSE_MAGIC && view.getUint32(4, true) === 0 &&
    view.getUint32(12, true) === 2;
}

/** Bytes of a header and of a marker. */
export const HEADER_BYTES = SECTOR;

/** Offset of `uncleanShutdown`: a byte that is not 0 while a writer has the extent open. */
export const UNCLEAN_AT = 72;

/** Types of metadata markers of stream-optimized extents. */
export const MARKER = { endOfStream: 0, table: 1, directory: 2, footer: 3 } as const;

/** Bits of {@linkcode SparseHeader.flags}. */
export const FLAG = {
  /** The four line end characters of the header are valid. */
  newline: 1 << 0,
  /** The extent has a redundant grain directory, with tables of its own. */
  redundant: 1 << 1,
  /** A grain table entry of 1 means zeroes (version 2). */
  zeroed: 1 << 2,
  /** Grains are compressed. */
  compressed: 1 << 16,
  /** Markers precede grains and metadata. */
  markers: 1 << 17,
} as const;

/** Limit of sector numbers: offsets stay below 2^53 bytes. */
const MAX_SECTORS = 2 ** 44;

/** The largest grain that is read: whole grains are decompressed in memory. The default is 64 KiB. */
const MAX_GRAIN_BYTES = 32 << 20;

/** The most entries of a grain table that are read; the specification requires 512. */
const MAX_TABLE_ENTRIES = 4096;

const LINE_ENDS = [0x0a, 0x20, 0x0d, 0x0a];

/** A parsed header; sizes and offsets in bytes. */
export interface SparseHeader {
  readonly version: number;
  readonly flags: number;
  /** Guest bytes of the extent. */
  readonly capacity: number;
  readonly grainBytes: number;
  /** File offset and length of the descriptor; null if the file has none. */
  readonly descriptor: { readonly fileOffset: number; readonly length: number } | null;
  readonly entriesPerTable: number;
  /** File offset of the redundant grain directory; 0: none. */
  readonly redundantDirectory: number;
  /** File offset of the grain directory; null if the footer states it. */
  readonly directory: number | null;
  /** Bytes of the file before the first grain. */
  readonly overhead: number;
  /** Whether a writer has not closed the extent. */
  readonly unclean: boolean;
  /** Whether grains are zlib streams. */
  readonly compressed: boolean;
}

/**
 * Parses and checks a header.
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
    // Without the flag the field is undefined.
    redundantDirectory: flags & FLAG.redundant ? sectors(48, "redundant grain directory") : 0,
    directory: isAtEnd(view) ? null : sectors(56, "grain directory"),
    overhead: isAllOnes(view, 64) ? 0 : sectors(64, "overhead"),
    unclean: bytes[UNCLEAN_AT] !== 0,
    compressed: isCompressed(flags, view.getUint16(77, true), label),
  };
}

/** Returns the 512 bytes of a header. */
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

/** Returns how many grain tables cover the extent. */
export function tableCount({ capacity, grainBytes, entriesPerTable }: SparseHeader): number {
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
