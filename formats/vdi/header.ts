/**
 * The header of a VDI image, version 1 (pre-header and header of VirtualBox). All fields are little-endian.
 *
 * Sources: the format definition "vdi" of the Kaitai project's collection, the Archive Team's file format wiki; for the
 * UUIDs, the description of differencing images in VirtualBox's manual.
 *
 * @module
 */
import { alignUp, asciiText, ceilDiv, isPowerOfTwo, SECTOR, setU64, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";

/** The signature. */
export const SIGNATURE = 0xbeda107f;
/** Offset of the signature. */
export const SIGNATURE_AT = 64;

/** Bytes that are read as the header. */
export const HEADER_BYTES = 512;
/** Offset from which the header counts its length. */
const SIZED_FROM = 72;
/** Bytes of the header without the geometry that later versions added. */
const LEAST_LENGTH = 384;
const VERSION = 0x0001_0001;

/** Image types by number. `undo` is an old name of differencing images. */
export const IMAGE_TYPES: { readonly [type: number]: ImageType } = {
  1: "dynamic",
  2: "static",
  3: "undo",
  4: "differencing",
};
/** See {@linkcode IMAGE_TYPES}. */
export type ImageType = "dynamic" | "static" | "undo" | "differencing";

/** A valid header. */
export interface Header {
  readonly type: ImageType;
  /** Free text. */
  readonly comment: string;
  /** File offset of the block map. */
  readonly mapOffset: number;
  /** File offset of the first block. */
  readonly dataOffset: number;
  /** Guest bytes. */
  readonly size: number;
  /** Guest bytes of a block, a power of two. */
  readonly blockSize: number;
  /** Bytes before the guest bytes of each file block. */
  readonly extraBytes: number;
  /** Entries of the block map. */
  readonly blocks: number;
  readonly allocated: number;
  /** UUID of this image. */
  readonly uuid: Uint8Array;
  /** UUID of its content; each writer sets a new one. */
  readonly modifiedUuid: Uint8Array;
  /** UUID of the parent; zeroes for none. */
  readonly parentUuid: Uint8Array;
  /** UUID of the content of the parent when this image was created. */
  readonly parentModifiedUuid: Uint8Array;
}

/**
 * Decodes the header from the first bytes of a file.
 *
 * @throws ImageError `corrupt` where its fields contradict each other, `unsupported` for another version
 */
export function decodeHeader(bytes: Uint8Array, label: string): Header {
  const fail = (found: string) => corrupt(`Cannot open the VDI image "${label}": ${found}`, label);
  if (bytes.length < HEADER_BYTES) throw fail(`it has ${bytes.length} bytes, and its header alone has ${HEADER_BYTES}`);
  const view = viewOf(bytes);
  if (view.getUint32(SIGNATURE_AT, true) !== SIGNATURE) throw fail("its signature is missing");
  checkVersion(view, label);
  const length = view.getUint32(SIZED_FROM, true);
  if (length < LEAST_LENGTH) throw fail(`its header has ${length} bytes, and must have ${LEAST_LENGTH} or more`);
  const type = IMAGE_TYPES[view.getUint32(76, true)];
  if (type === undefined) throw fail(`its type is ${view.getUint32(76, true)}, and must be from 1 to 4`);
  if (view.getUint32(372, true) > 0x1fffff) throw fail("its size is above 2^53 - 1");
  const header: Header = {
    type,
    comment: asciiText(bytes.subarray(84, 340)),
    mapOffset: view.getUint32(340, true),
    dataOffset: view.getUint32(344, true),
    // Old versions of VirtualBox created images whose size is no multiple of a sector.
    size: alignUp(u64(view, 368, true), SECTOR),
    blockSize: view.getUint32(376, true),
    extraBytes: view.getUint32(380, true),
    blocks: view.getUint32(384, true),
    allocated: view.getUint32(388, true),
    uuid: bytes.slice(392, 408),
    modifiedUuid: bytes.slice(408, 424),
    parentUuid: bytes.slice(424, 440),
    parentModifiedUuid: bytes.slice(440, 456),
  };
  const fault = faultOf(header, SIZED_FROM + length, view.getUint32(360, true));
  if (fault !== null) throw fail(fault);
  return header;
}

function checkVersion(view: DataView, label: string): void {
  const [minor, major] = [view.getUint16(68, true), view.getUint16(70, true)];
  if (major === 1 && minor <= 1) return;
  const message = `Cannot open the VDI image "${label}": its version is ${major}.${minor}, and 1.1 is known`;
  throw new ImageError("unsupported", message, { path: label, offset: 68 });
}

/** Returns the first contradiction in a header; `null` where it is valid. Pure. */
function faultOf(header: Header, headerEnd: number, sectorSize: number): string | null {
  const { mapOffset, dataOffset, size, blockSize, extraBytes, blocks } = header;
  if (sectorSize !== SECTOR && sectorSize !== 0) return `its sectors have ${sectorSize} bytes, and must have ${SECTOR}`;
  if (!Number.isSafeInteger(size)) return "its size is above 2^53 - 1";
  if (blockSize < SECTOR || !isPowerOfTwo(blockSize)) {
    return `its blocks have ${blockSize} bytes, and must have a power of two from ${SECTOR} on`;
  }
  if (extraBytes % SECTOR !== 0) return `its blocks have ${extraBytes} extra bytes, no multiple of ${SECTOR}`;
  if (blocks < ceilDiv(size, blockSize)) {
    return `its block map has ${blocks} entries, and ${size} bytes need ${ceilDiv(size, blockSize)}`;
  }
  if (mapOffset < headerEnd) return `its block map lies at ${mapOffset}, in the header that ends at ${headerEnd}`;
  const mapEnd = mapOffset + blocks * 4;
  if (dataOffset < mapEnd) return `its blocks begin at ${dataOffset}, in the block map that ends at ${mapEnd}`;
  return null;
}

/** Encodes a header of version 1.1. */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = viewOf(bytes);
  new TextEncoder().encodeInto("<<< diskcast VirtualBox Disk Image >>>\n", bytes);
  view.setUint32(SIGNATURE_AT, SIGNATURE, true);
  view.setUint32(68, VERSION, true);
  view.setUint32(SIZED_FROM, 400, true);
  view.setUint32(76, Object.values(IMAGE_TYPES).indexOf(header.type) + 1, true);
  new TextEncoder().encodeInto(header.comment, bytes.subarray(84, 339));
  view.setUint32(360, SECTOR, true);
  view.setUint32(376, header.blockSize, true);
  view.setUint32(380, header.extraBytes, true);
  view.setUint32(468, SECTOR, true); // sector size of the second geometry, which VirtualBox computes where its other fields are zero
  patchHeader(bytes, header);
  bytes.set(header.uuid, 392);
  bytes.set(header.parentUuid, 424);
  bytes.set(header.parentModifiedUuid, 440);
  return bytes;
}

/** The fields of a header that change after creation. */
export type HeaderChanges = Partial<
  Pick<Header, "mapOffset" | "dataOffset" | "size" | "blocks" | "allocated" | "modifiedUuid">
>;

/** Writes changes into the bytes of a header. Another size clears the geometries, which VirtualBox then computes. */
export function patchHeader(bytes: Uint8Array, changes: HeaderChanges): void {
  const view = viewOf(bytes);
  const set = (at: number, value: number | undefined) => value !== undefined && view.setUint32(at, value, true);
  set(340, changes.mapOffset);
  set(344, changes.dataOffset);
  set(384, changes.blocks);
  set(388, changes.allocated);
  if (changes.modifiedUuid !== undefined) bytes.set(changes.modifiedUuid, 408);
  if (changes.size === undefined || changes.size === u64(view, 368, true)) return;
  setU64(view, 368, changes.size, true);
  bytes.fill(0, 348, 360);
  // Old headers end before the second geometry.
  if (view.getUint32(SIZED_FROM, true) >= 396) bytes.fill(0, 456, 468);
}

/** Writes changes into the header of the file. The header is one sector, so that the write is atomic. */
export async function rewriteHeader(storage: WritableStorage, changes: HeaderChanges): Promise<void> {
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, 0);
  patchHeader(bytes, changes);
  await storage.writeAt(bytes, 0);
}
