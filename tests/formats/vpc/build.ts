/**
 * VHD images by hand, from the specification alone: for what qemu-img cannot make. It shares no code with the format.
 *
 * @module
 */
import type { Rng } from "../../support/qemu.ts";

/** One allocated block. */
export interface BuiltBlock {
  readonly index: number;
  /** One byte for all sectors (0xff: all are there), or the bitmap. */
  readonly bitmap: number | Uint8Array;
  readonly data: Uint8Array;
}

/** What to build. */
export interface Built {
  /** 2 fixed, 3 dynamic, 4 differencing. */
  readonly type: 2 | 3 | 4;
  /** Guest bytes. */
  readonly size: number;
  readonly creator?: string;
  readonly creatorVersion?: number;
  /** Whether a batmap lies behind the table, with the bits of the blocks whose `bitmap` is 0xff. */
  readonly batmap?: boolean;
  /** Cylinders, heads, sectors. */
  readonly geometry?: readonly [number, number, number];
  readonly blockSize?: number;
  readonly blocks?: readonly BuiltBlock[];
  /** Guest bytes of a fixed image. */
  readonly data?: Uint8Array;
  readonly footerBytes?: 511 | 512;
  readonly uuid?: Uint8Array;
  readonly parent?: {
    readonly uuid: Uint8Array;
    readonly name?: string;
    /** Four letters and the bytes of the path. */
    readonly locators?: readonly (readonly [string, Uint8Array])[];
  };
}

/** Where things lie in a built image. */
export const AT = { header: 512, table: 1536 } as const;

/** The UUID of built images. */
export const UUID = Uint8Array.from({ length: 16 }, (_, index) => 0x10 + index);

/** The bytes of an image. Everything not stated is as a usual program would write it. */
export function buildVhd(built: Built): Uint8Array {
  const footer = footerOf(built);
  const tail = footer.subarray(0, built.footerBytes ?? 512);
  if (built.type === 2) return joined([built.data ?? new Uint8Array(built.size), tail]);
  const { blockSize = 2 << 20, blocks = [] } = built;
  const entries = Math.ceil(built.size / blockSize);
  const table = new Uint8Array(Math.ceil(entries * 4 / 512) * 512).fill(0xff);
  const batmap = built.batmap ? batmapOf(blocks, AT.table + table.length, entries) : new Uint8Array(0);
  const locators = built.parent?.locators ?? [];
  // Each path has a sector of its own behind the table.
  const bodyAt = AT.table + table.length + batmap.length + locators.length * 512;
  const body: Uint8Array[] = [];
  let at = bodyAt;
  const bitmapBytes = Math.ceil(blockSize / 512 / 8 / 512) * 512;
  for (const { index, bitmap, data } of blocks) {
    view(table).setUint32(index * 4, at / 512);
    const bits = new Uint8Array(bitmapBytes);
    if (typeof bitmap === "number") bits.fill(bitmap);
    else bits.set(bitmap);
    const whole = new Uint8Array(blockSize);
    whole.set(data);
    body.push(bits, whole);
    at += bitmapBytes + blockSize;
  }
  const header = headerOf(built, blockSize, entries, AT.table + table.length + batmap.length);
  const paths = locators.map(([, bytes]) => padded(bytes, 512));
  return joined([footer, header, table, batmap, ...paths, ...body, tail]);
}

/** The sector of the header and the bits. */
function batmapOf(blocks: readonly BuiltBlock[], at: number, entries: number): Uint8Array {
  const bits = new Uint8Array(Math.ceil(entries / 8 / 512) * 512);
  for (const { index, bitmap } of blocks) if (bitmap === 0xff) bits[index >> 3] |= 0x80 >> (index & 7);
  const header = new Uint8Array(512);
  header.set(ascii("tdbatmap"));
  view(header).setBigUint64(8, BigInt(at + 512));
  view(header).setUint32(16, bits.length / 512);
  view(header).setUint32(20, 0x10002);
  view(header).setUint32(24, ~bits.reduce((sum, byte) => sum + byte, 0) >>> 0);
  // A key hash, which no writer may lose.
  header.fill(0x5a, 28, 93);
  return joined([header, bits]);
}

/** Random blocks, with random bitmaps, of random bytes: what a bit hides must not show. */
export function randomImage(random: Rng, type: 3 | 4): { readonly built: Built; readonly parentBytes: Uint8Array } {
  const blockSize = random.pick([512, 4096, 16_384]);
  const size = random.int(1, 9) * blockSize + random.int(blockSize / 512) * 512;
  const blocks = Array.from({ length: Math.ceil(size / blockSize) }, (_, index) => ({
    index,
    bitmap: random.chance(0.3) ? 0xff : random.bytes(Math.ceil(blockSize / 512 / 8)),
    data: random.bytes(blockSize),
  })).filter(() => random.chance(0.6));
  const parentBytes = random.bytes(random.pick([0, Math.floor(size / 1024) * 512, size, size + 512]));
  if (random.chance(0.5)) parentBytes.fill(0, parentBytes.length >> 2, parentBytes.length >> 1);
  const locators = [["W2ru", utf16("parent.vhd", "little")]] as const;
  const parent = { uuid: UUID, locators };
  const footerBytes = random.chance(0.3) ? 511 as const : 512 as const;
  return { built: { type, size, blockSize, blocks, footerBytes, ...(type === 4 && { parent }) }, parentBytes };
}

function footerOf(built: Built): Uint8Array {
  const bytes = new Uint8Array(512);
  const fields = view(bytes);
  bytes.set(ascii("conectix"));
  fields.setUint32(8, 2);
  fields.setUint32(12, 0x10000);
  fields.setBigUint64(16, built.type === 2 ? 0xffff_ffff_ffff_ffffn : 512n);
  bytes.set(ascii(built.creator ?? "win "), 28);
  fields.setUint32(32, built.creatorVersion ?? (built.creator === "tap\0" ? 0x10003 : 0));
  bytes.set(ascii("Wi2k"), 36);
  fields.setBigUint64(40, BigInt(built.size));
  fields.setBigUint64(48, BigInt(built.size));
  const [cylinders, heads, sectors] = built.geometry ?? [1, 4, 17];
  fields.setUint16(56, cylinders);
  fields.setUint8(58, heads);
  fields.setUint8(59, sectors);
  fields.setUint32(60, built.type);
  bytes.set(built.uuid ?? UUID, 68);
  return seal(bytes, 64);
}

function headerOf(built: Built, blockSize: number, entries: number, pathsAt: number): Uint8Array {
  const bytes = new Uint8Array(1024);
  const fields = view(bytes);
  bytes.set(ascii("cxsparse"));
  fields.setBigUint64(8, 0xffff_ffff_ffff_ffffn);
  fields.setBigUint64(16, BigInt(AT.table));
  fields.setUint32(24, 0x10000);
  fields.setUint32(28, entries);
  fields.setUint32(32, blockSize);
  if (built.parent) {
    bytes.set(built.parent.uuid, 40);
    bytes.set(utf16(built.parent.name ?? "", "big"), 64);
    (built.parent.locators ?? []).forEach(([platform, path], index) => {
      const at = 576 + index * 24;
      bytes.set(ascii(platform), at);
      fields.setUint32(at + 4, 1);
      fields.setUint32(at + 8, path.length);
      fields.setBigUint64(at + 16, BigInt(pathsAt + index * 512));
    });
  }
  return seal(bytes, 36);
}

/** Puts the right checksum into a footer (at 64) or a dynamic disk header (at 36), in place. */
export function seal(bytes: Uint8Array, at: number): Uint8Array {
  view(bytes).setUint32(at, 0);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  view(bytes).setUint32(at, 0xffffffff - sum);
  return bytes;
}

/** Bytes of ASCII text. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** UTF-16 text. */
export function utf16(text: string, order: "big" | "little"): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  for (let at = 0; at < text.length; at++) view(bytes).setUint16(at * 2, text.charCodeAt(at), order === "little");
  return bytes;
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes);
  return whole;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
