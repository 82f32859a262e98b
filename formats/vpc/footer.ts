/**
 * The footer of a VHD image. "Hard Disk Footer Format" of the Virtual Hard Disk Image Format Specification 1.0; all
 * fields are big-endian.
 *
 * @module
 */
import { asciiText, SECTOR, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import { exactGeometry, type Geometry, LARGEST, sectorsOf } from "./geometry.ts";

/** Bytes of a footer. */
export const FOOTER_BYTES = 512;
/** Bytes of a footer by versions before Virtual PC 2004, which lacks the last reserved byte. */
export const OLD_FOOTER_BYTES = 511;

/** Values of the field "Disk Type". */
export const FIXED = 2;
export const DYNAMIC = 3;
export const DIFFERENCING = 4;

/** 2000-01-01 00:00 UTC in seconds since 1970: time stamps count from there. */
export const EPOCH = 946_684_800;

const COOKIE = "conectix";
const MAJOR_VERSION = 1;
const CHECKSUM_AT = 64;
/** Creators whose images have the size of the geometry. */
const GEOMETRY_CREATORS: ReadonlySet<string> = new Set(["vpc ", "qemu"]);

/** Which field of a footer states the size of the disk. */
export type SizeRule = "geometry" | "current";

/** The fields of a footer that this program uses. Sizes are guest bytes. */
export interface Footer {
  /** File offset of the dynamic disk header; `null` for a fixed image. */
  readonly headerOffset: number | null;
  /** Seconds since 2000. */
  readonly timeStamp: number;
  /** Four characters that identify the program that created the image. */
  readonly creator: string;
  /** Major version in the upper 16 bits, minor version in the lower. */
  readonly creatorVersion: number;
  readonly originalSize: number;
  readonly currentSize: number;
  readonly geometry: Geometry;
  readonly type: typeof FIXED | typeof DYNAMIC | typeof DIFFERENCING;
  readonly uuid: Uint8Array;
}

/** State of a footer: `none` without its cookie, `damaged` with a wrong checksum. */
export type FooterState = "none" | "damaged" | "valid";

/** Returns the state of the footer that begins with the first of `bytes`. Pure. */
export function footerState(bytes: Uint8Array): FooterState {
  if (bytes.length < OLD_FOOTER_BYTES || asciiText(bytes.subarray(0, 8)) !== COOKIE) return "none";
  const footer = bytes.subarray(0, FOOTER_BYTES);
  return viewOf(footer).getUint32(CHECKSUM_AT) === checksum(footer, CHECKSUM_AT) ? "valid" : "damaged";
}

/** Returns the disk type in a footer, valid or damaged; 0 without a footer. */
export function typeOf(bytes: Uint8Array): number {
  return footerState(bytes) === "none" ? 0 : viewOf(bytes).getUint32(60);
}

/** Returns the one's complement of the sum of all bytes, except those of the checksum itself. */
export function checksum(bytes: Uint8Array, checksumAt: number): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (at < checksumAt || at >= checksumAt + 4) sum += bytes[at];
  }
  return ~sum >>> 0;
}

/**
 * Returns the fields of a valid footer.
 *
 * @param label name of the image for messages
 * @throws ImageError `unsupported` for another version or type; `corrupt` for impossible numbers
 */
export function decodeFooter(bytes: Uint8Array, label: string): Footer {
  const view = viewOf(bytes);
  const major = view.getUint16(12);
  if (major !== MAJOR_VERSION) throw unsupported(`its format version is ${major}, and must be 1`, label);
  const type = view.getUint32(60);
  if (type !== FIXED && type !== DYNAMIC && type !== DIFFERENCING) {
    throw unsupported(`its disk type is ${type}; known are 2 (fixed), 3 (dynamic) and 4 (differencing)`, label);
  }
  return {
    headerOffset: type === FIXED ? null : fieldOf(view, 16, "offset of the dynamic disk header", label),
    timeStamp: view.getUint32(24),
    creator: String.fromCharCode(...bytes.subarray(28, 32)),
    creatorVersion: view.getUint32(32),
    originalSize: Number(view.getBigUint64(40)),
    currentSize: fieldOf(view, 48, "current size", label),
    geometry: { cylinders: view.getUint16(56), heads: view.getUint8(58), sectors: view.getUint8(59) },
    type,
    uuid: bytes.slice(68, 84),
  };
}

function unsupported(found: string, label: string): ImageError {
  return new ImageError("unsupported", `Cannot open the VHD image "${label}": ${found}`, { path: label });
}

function fieldOf(view: DataView, at: number, what: string, label: string): number {
  const value = view.getBigUint64(at);
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return u64(view, at);
  throw corrupt(`Cannot use the ${what} of "${label}": it is ${value}, above 2^53 - 1`, label);
}

/**
 * Returns the guest bytes of an image. Images of Virtual PC and of QEMU up to 9 have the size of the geometry, all
 * others the current size. The largest geometry refers readers to the current size.
 *
 * @example
 * ```ts
 * import { guestSize } from "./footer.ts";
 * import assert from "node:assert/strict";
 *
 * const geometry = { cylinders: 301, heads: 4, sectors: 17 };
 * assert.equal(guestSize({ creator: "win ", currentSize: 10 << 20, geometry }), 10 << 20);
 * assert.equal(guestSize({ creator: "vpc ", currentSize: 10 << 20, geometry }), 10_479_616);
 * ```
 */
export function guestSize(
  { creator, currentSize, geometry }: Pick<Footer, "creator" | "currentSize" | "geometry">,
  rule?: SizeRule,
): number {
  const current = currentSize - currentSize % SECTOR;
  const sectors = sectorsOf(geometry);
  const statesSize = sectors !== 0 && sectors !== sectorsOf(LARGEST);
  const byGeometry = rule === "geometry" || rule === undefined && GEOMETRY_CREATORS.has(creator) && statesSize;
  return byGeometry ? sectors * SECTOR : current;
}

/** Returns the bytes of a footer. */
export function encodeFooter(footer: Footer): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = viewOf(bytes);
  writeText(bytes, 0, COOKIE);
  view.setUint32(8, 2); // "Reserved. This bit must always be set to 1."
  view.setUint32(12, MAJOR_VERSION << 16);
  view.setBigUint64(16, footer.headerOffset === null ? 0xffff_ffff_ffff_ffffn : BigInt(footer.headerOffset));
  view.setUint32(24, footer.timeStamp);
  writeText(bytes, 28, footer.creator);
  view.setUint32(32, footer.creatorVersion);
  writeText(bytes, 36, "Wi2k"); // the host system; the only other legal value is "Mac "
  view.setBigUint64(40, BigInt(footer.originalSize));
  view.setBigUint64(48, BigInt(footer.currentSize));
  view.setUint16(56, footer.geometry.cylinders);
  view.setUint8(58, footer.geometry.heads);
  view.setUint8(59, footer.geometry.sectors);
  view.setUint32(60, footer.type);
  bytes.set(footer.uuid, 68);
  return sealFooter(bytes);
}

/**
 * Returns the bytes of a footer with another size. Its geometry agrees, if there is such a geometry; the largest
 * geometry stays, because it refers readers to the current size.
 *
 * @param size guest bytes, whole sectors
 */
export function resizedFooter(bytes: Uint8Array, size: number): Uint8Array {
  const resized = bytes.slice();
  const view = viewOf(resized);
  // By the specification the original size is informational, but libvhdi uses it as the size of the disk.
  view.setBigUint64(40, BigInt(size));
  view.setBigUint64(48, BigInt(size));
  const old = { cylinders: view.getUint16(56), heads: view.getUint8(58), sectors: view.getUint8(59) };
  const geometry = sectorsOf(old) === sectorsOf(LARGEST) ? LARGEST : exactGeometry(size / SECTOR);
  view.setUint16(56, geometry.cylinders);
  view.setUint8(58, geometry.heads);
  view.setUint8(59, geometry.sectors);
  return sealFooter(resized);
}

/** Returns the bytes of a footer with the right checksum. */
export function sealFooter(bytes: Uint8Array): Uint8Array {
  const sealed = bytes.slice();
  viewOf(sealed).setUint32(CHECKSUM_AT, checksum(sealed, CHECKSUM_AT));
  return sealed;
}

/** Writes ASCII text. */
export function writeText(bytes: Uint8Array, at: number, text: string): void {
  for (let index = 0; index < text.length; index++) bytes[at + index] = text.charCodeAt(index);
}
