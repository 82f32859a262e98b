/**
 * The dynamic disk header of a dynamic or differencing image. "Dynamic Disk Header Format" of the Virtual Hard Disk
 * Image Format Specification 1.0; all fields are big-endian.
 *
 * @module
 */
import { asciiText, isPowerOfTwo, SECTOR, setU64, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import { checksum, writeText } from "./footer.ts";

/** Bytes of a dynamic disk header. */
export const HEADER_BYTES = 1024;

const COOKIE = "cxsparse";
const TABLE_ENTRIES_AT = 28;
const CHECKSUM_AT = 36;

/** The fields of the dynamic disk header that this program uses. */
export interface DynamicHeader {
  /** File offset of the block allocation table. */
  readonly tableOffset: number;
  readonly tableEntries: number;
  /** Guest bytes of a block, without its sector bitmap. */
  readonly blockSize: number;
  /**
   * The field "Data Offset": file offset of a further structure, which the specification reserves for later versions;
   * `null` for none.
   */
  readonly nextOffset: number | null;
}

/** Returns the bytes of the sector bitmap before each block: one bit for each sector, rounded up to whole sectors. */
export function bitmapBytesOf(blockSize: number): number {
  return Math.ceil(blockSize / SECTOR / 8 / SECTOR) * SECTOR;
}

/**
 * Returns the fields of the header in `bytes`.
 *
 * @param tolerate returns whether to accept this header, whose checksum is wrong
 * @throws ImageError `corrupt`, `unsupported`
 */
export function decodeDynamicHeader(
  bytes: Uint8Array,
  label: string,
  fileOffset: number,
  tolerate?: (header: DynamicHeader) => boolean,
): DynamicHeader {
  const fail = (found: string) =>
    corrupt(`Cannot use the dynamic disk header of "${label}": ${found}`, label, fileOffset);
  const view = viewOf(bytes);
  if (asciiText(bytes.subarray(0, 8)) !== COOKIE) throw fail(`it does not begin with "${COOKIE}"`);
  const isValid = view.getUint32(CHECKSUM_AT) === checksum(bytes, CHECKSUM_AT);
  const wrongChecksum = fail(`its checksum is wrong; "check -r all" corrects it where everything else agrees`);
  if (!isValid && !tolerate) throw wrongChecksum;
  const major = view.getUint16(24);
  if (major !== 1) {
    const message = `Cannot open "${label}": the version of its dynamic disk header is ${major}, and must be 1`;
    throw new ImageError("unsupported", message, { path: label, offset: fileOffset });
  }
  const blockSize = view.getUint32(32);
  if (blockSize < SECTOR || !isPowerOfTwo(blockSize)) {
    throw fail(`its blocks have ${blockSize} bytes, and must have a power of two from ${SECTOR} on`);
  }
  if (view.getUint32(16) > 0x1fffff) throw fail("its block allocation table lies past the end of the file");
  const next = view.getBigUint64(8);
  const header = {
    tableOffset: u64(view, 16),
    tableEntries: view.getUint32(TABLE_ENTRIES_AT),
    blockSize,
    // Some writers fill only the lower half of the field with ones, or none of it.
    nextOffset: next === 0n || next >= 0xffff_ffffn ? null : Number(next),
  };
  if (!isValid && !tolerate?.(header)) throw wrongChecksum;
  return header;
}

/** Updates the checksum in the bytes of a header. */
export function sealHeader(bytes: Uint8Array): void {
  viewOf(bytes).setUint32(CHECKSUM_AT, checksum(bytes, CHECKSUM_AT));
}

/** Sets the number of BAT entries in the bytes of a header, and updates the checksum. */
export function setTableEntries(bytes: Uint8Array, entries: number): void {
  viewOf(bytes).setUint32(TABLE_ENTRIES_AT, entries);
  sealHeader(bytes);
}

/** Returns the bytes of the header of an image without a parent. */
export function encodeDynamicHeader(header: Omit<DynamicHeader, "nextOffset">): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = viewOf(bytes);
  writeText(bytes, 0, COOKIE);
  view.setBigUint64(8, 0xffff_ffff_ffff_ffffn); // no further structures
  setU64(view, 16, header.tableOffset);
  view.setUint32(24, 1 << 16);
  view.setUint32(32, header.blockSize);
  setTableEntries(bytes, header.tableEntries);
  return bytes;
}
