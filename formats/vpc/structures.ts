/**
 * Reads the structures of an image: footer, dynamic disk header and BAT.
 *
 * @module
 */
import { type BlockPage, type BlockTable, FREE, openBlockTable } from "../shared/block_table.ts";
import { ceilDiv, SECTOR, viewOf } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { bitmapBytesOf, decodeDynamicHeader, type DynamicHeader, HEADER_BYTES } from "./dynamic_header.ts";
import {
  decodeFooter,
  DIFFERENCING,
  DYNAMIC,
  FIXED,
  type Footer,
  FOOTER_BYTES,
  footerState,
  guestSize,
  OLD_FOOTER_BYTES,
  type SizeRule,
  typeOf,
} from "./footer.ts";
import { decodeParent, type ParentFields } from "./parent_locator.ts";

/** The footer in use. */
export interface FoundFooter {
  readonly footer: Footer;
  /** Its bytes in the file, extended to 512. */
  readonly bytes: Uint8Array;
  /** File offset of the footer at the end, or of the end of the file where there is none. */
  readonly endOffset: number;
  /** Whether it is the copy at the beginning, because the footer at the end is missing or damaged. */
  readonly isCopy: boolean;
}

/** The blocks of a dynamic or differencing image. */
export interface Blocks {
  /** The image file; it may grow. */
  readonly storage: Storage;
  /** File offset that no block may cross: that of the footer. `Infinity` while blocks are added. */
  readonly limit: number;
  /** Guest bytes. */
  readonly size: number;
  readonly headerOffset: number;
  readonly header: DynamicHeader;
  readonly bitmapBytes: number;
  readonly bat: BlockTable;
}

/** An image with its structures read. */
export interface VpcImage extends FoundFooter {
  /** Guest bytes. */
  readonly size: number;
  /** `null` for a fixed image. */
  readonly blocks: Blocks | null;
  /** `null` without a parent. */
  readonly parent: ParentFields | null;
}

/** Called for a wrong checksum with the name of the structure and its file offset. */
export type Tolerate = (what: string, fileOffset: number) => void;

/**
 * Reads the footers and the dynamic disk header, and opens the BAT.
 *
 * @param tolerate called for a wrong checksum of a structure whose fields agree with the rest of the file; without it the
 *   error is thrown
 * @throws ImageError `corrupt` where it contradicts the specification, `unsupported` for another version or type
 */
export async function readImage(storage: Storage, tolerate?: Tolerate, sizeRule?: SizeRule): Promise<VpcImage> {
  const found = await findFooter(storage, tolerate);
  const size = guestSize(found.footer, sizeRule);
  if (found.footer.headerOffset === null) {
    if (size <= found.endOffset) return { ...found, size, blocks: null, parent: null };
    throw corrupt(
      `Cannot open the fixed VHD image "${storage.label}": it has ${found.endOffset} bytes of data, ` +
        `and its footer says ${size}`,
      storage.label,
      found.endOffset,
    );
  }
  const bytes = await readHeader(storage, found.footer.headerOffset);
  const blocks = decodeBlocks(storage, found, found.footer.headerOffset, bytes, size, tolerate);
  return { ...found, size, blocks, parent: found.footer.type === DIFFERENCING ? decodeParent(bytes) : null };
}

/**
 * Returns the footer at the end of the file, because a fixed image begins with guest bytes; its copy at the beginning
 * only where the footer at the end is missing or damaged.
 */
async function findFooter(storage: Storage, tolerate?: Tolerate): Promise<FoundFooter> {
  const { label, size } = storage;
  const head = await readUpTo(storage, 0, FOOTER_BYTES);
  const tail = await readUpTo(storage, Math.max(0, size - FOOTER_BYTES), FOOTER_BYTES);
  for (const length of [FOOTER_BYTES, OLD_FOOTER_BYTES]) {
    const bytes = tail.subarray(Math.max(0, tail.length - length));
    if (bytes.length !== length || footerState(bytes) !== "valid") continue;
    return {
      footer: decodeFooter(bytes, label),
      bytes: extendedFooter(bytes),
      endOffset: size - length,
      isCopy: false,
    };
  }
  const isFixed = typeOf(tail) === FIXED || typeOf(head) === FIXED;
  if (footerState(head) === "valid" && !isFixed) {
    const endOffset = footerState(tail) === "damaged" ? size - FOOTER_BYTES : size;
    return { footer: decodeFooter(head, label), bytes: head, endOffset, isCopy: true };
  }
  // In the footer of a fixed image all that readers use is the size, which follows from the length of the file.
  if (tolerate && typeOf(tail) === FIXED && viewOf(tail).getBigUint64(48) === BigInt(size - FOOTER_BYTES)) {
    tolerate("footer", size - FOOTER_BYTES);
    return { footer: decodeFooter(tail, label), bytes: tail, endOffset: size - FOOTER_BYTES, isCopy: false };
  }
  const damaged = footerState(head) === "damaged" || footerState(tail) === "damaged";
  const found = damaged ? "the checksum of its footer is wrong" : "it has no footer at its end";
  const also = isFixed
    ? (damaged ? `; "check -r all" corrects it where everything else agrees` : "")
    : damaged
    ? ", and there is no valid copy at its beginning"
    : ", nor a copy at its beginning; a fixed image that is cut off has neither, and -f raw reads what is left of it";
  throw corrupt(`Cannot open the VHD image "${label}": ${found}${also}`, label);
}

function extendedFooter(bytes: Uint8Array): Uint8Array {
  const footer = new Uint8Array(FOOTER_BYTES);
  footer.set(bytes);
  return footer;
}

async function readUpTo(storage: Storage, fileOffset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(length, storage.size - fileOffset));
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

async function readHeader(storage: Storage, headerOffset: number): Promise<Uint8Array> {
  if (headerOffset + HEADER_BYTES > storage.size) {
    throw corrupt(
      `Cannot read the dynamic disk header of "${storage.label}": it lies at ${headerOffset}, ` +
        `and the file ends at ${storage.size}`,
      storage.label,
      headerOffset,
    );
  }
  return await readUpTo(storage, headerOffset, HEADER_BYTES);
}

function decodeBlocks(
  storage: Storage,
  { footer, endOffset }: FoundFooter,
  headerOffset: number,
  bytes: Uint8Array,
  size: number,
  tolerate?: Tolerate,
): Blocks {
  const { label } = storage;
  const agrees = ({ tableOffset, tableEntries, blockSize }: DynamicHeader) =>
    // The parent fields of a header have no counterpart in the file to agree with.
    footer.type === DYNAMIC && tableOffset === headerOffset + HEADER_BYTES &&
    tableEntries === ceilDiv(footer.currentSize, blockSize);
  const header = decodeDynamicHeader(
    bytes,
    label,
    headerOffset,
    tolerate && ((header) => {
      if (agrees(header)) tolerate("dynamic disk header", headerOffset);
      return agrees(header);
    }),
  );
  const { tableOffset, tableEntries, blockSize } = header;
  const needed = ceilDiv(size, blockSize);
  if (needed > tableEntries) {
    throw corrupt(
      `Cannot use the block allocation table of "${label}": it has ${tableEntries} entries, ` +
        `and ${size} bytes in blocks of ${blockSize} need ${needed}`,
      label,
      tableOffset,
    );
  }
  // Entries behind the end of the disk are not read, so the file may lack them.
  const bat = openBlockTable(storage, { fileOffset: tableOffset, entries: needed, littleEndian: false });
  const blocks = { storage, limit: endOffset, size, headerOffset, header, bat };
  const areas = metadataOf({ ...blocks, bitmapBytes: 0 });
  const clash = areas.findIndex((one, index) => areas.some((other, at) => at < index && overlap(one, other)));
  if (clash < 0) return { ...blocks, bitmapBytes: bitmapBytesOf(blockSize) };
  throw corrupt(
    `Cannot open "${label}": its ${areas[clash].what} at ${areas[clash].start} overlaps another structure`,
    label,
    areas[clash].start,
  );
}

interface Area {
  readonly what: string;
  readonly start: number;
  readonly end: number;
}

function metadataOf({ headerOffset, header, bat }: Blocks): Area[] {
  return [
    { what: "footer copy", start: 0, end: FOOTER_BYTES },
    { what: "dynamic disk header", start: headerOffset, end: headerOffset + HEADER_BYTES },
    {
      what: "block allocation table",
      start: header.tableOffset,
      end: header.tableOffset + bat.entries * 4,
    },
  ];
}

function overlap(one: Area, other: Area): boolean {
  return one.start < other.end && other.start < one.end;
}

/**
 * Returns the file offset of the sector bitmap of block `index`; `null` if the block is not allocated.
 *
 * @throws ImageError `corrupt` if the block lies outside the file, or over a structure
 */
export function blockOffset(blocks: Blocks, page: BlockPage, index: number): number | null {
  const start = truncatedBlockOffset(blocks, page, index);
  if (start === null) return null;
  const { limit, storage: { size: fileSize, label } } = blocks;
  const end = endOfBlock(blocks, index, start);
  if (end <= Math.min(limit, fileSize)) return start;
  throw corrupt(
    `Cannot read block ${index} of "${label}": it lies at ${start} to ${end}, past the end of the file (${fileSize}` +
      `${limit < fileSize ? `, with its footer at ${limit}` : ""})`,
    label,
    start,
  );
}

/** Returns the file offset after block `index`. A writer may omit the part of the last block behind the end of the disk. */
function endOfBlock({ size, header, bitmapBytes }: Blocks, index: number, start: number): number {
  return start + bitmapBytes + Math.min(header.blockSize, size - index * header.blockSize);
}

/** As {@linkcode blockOffset}, also for a block that ends past the end of a truncated file. */
export function truncatedBlockOffset(blocks: Blocks, page: BlockPage, index: number): number | null {
  const entry = page.entry(index);
  if (entry === FREE) return null;
  const { header, storage: { label } } = blocks;
  const start = entry * SECTOR;
  const end = endOfBlock(blocks, index, start);
  if (start >= blocks.headerOffset + HEADER_BYTES && start >= header.tableOffset + blocks.bat.entries * 4) {
    return start;
  }
  const clash = metadataOf(blocks).find((area) => overlap(area, { what: "block", start, end }));
  if (clash === undefined) return start;
  throw corrupt(`Cannot read block ${index} of "${label}": it lies at ${start}, in the ${clash.what}`, label, start);
}
