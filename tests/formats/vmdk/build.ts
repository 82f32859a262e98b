/**
 * VMDK images from the specifications, independent of the code under test: hosted sparse extents of every version, COWD
 * and seSparse extents, descriptors.
 *
 * @module
 */
import { deflateSync } from "node:zlib";

/** What a grain is: data of one byte value, zeroes, or nothing. */
export type Grain = number | "zero" | null;

/** Bytes of a sector. */
export const SECTOR = 512;

/** Fields of a header that differ from the usual ones. Sectors. */
export interface SparseShape {
  readonly version?: number;
  readonly flags?: number;
  readonly grain?: number;
  readonly entries?: number;
  readonly capacity?: number;
  readonly descriptor?: string;
  /** `stream`: compressed grains with markers, directory named by a footer; `bare`: compressed without markers. */
  readonly compressed?: "stream" | "bare";
  readonly compression?: number;
}

/** Where a built extent has its parts, in bytes. */
export interface Built {
  readonly bytes: Uint8Array;
  readonly directory: number;
  readonly table: number;
  readonly firstGrain: number;
}

/** A hosted sparse extent with these grains, by "Virtual Disk Format 5.0". */
export function sparse(grains: readonly Grain[], shape: SparseShape = {}): Built {
  const { version = 1, grain = 16, entries = 512, compressed } = shape;
  const capacity = shape.capacity ?? grains.length * grain;
  const flags = shape.flags ?? (compressed ? 0x30001 : 1);
  const text = new TextEncoder().encode(shape.descriptor ?? "");
  const parts: Uint8Array[] = [new Uint8Array(SECTOR)];
  const at = () => parts.reduce((sum, part) => sum + part.length, 0);
  const put = (bytes: Uint8Array, unit = SECTOR) => {
    while (at() % unit !== 0) parts.push(new Uint8Array(SECTOR));
    const location = at();
    parts.push(bytes, new Uint8Array((SECTOR - bytes.length % SECTOR) % SECTOR));
    return location;
  };
  if (text.length > 0) put(text);
  const tables: Uint32Array[] = [];
  const tablesCount = Math.ceil(capacity / (grain * entries));
  const locations: number[] = [];
  let firstGrain = 0;
  grains.forEach((value, index) => {
    const table = tables[Math.floor(index / entries)] ??= new Uint32Array(entries);
    if (value === null) return;
    if (value === "zero") {
      table[index % entries] = 1;
      return;
    }
    const data = new Uint8Array(grain * SECTOR).fill(value);
    const location = put(compressed ? compressedGrain(data, index * grain, compressed === "stream") : data);
    firstGrain ||= location;
    table[index % entries] = location / SECTOR;
  });
  for (let index = 0; index < tablesCount; index++) {
    const table = tables[index] ?? new Uint32Array(entries);
    if (compressed === "stream") put(markerOf(1, table.byteLength / SECTOR));
    locations.push(put(new Uint8Array(table.buffer)) / SECTOR);
  }
  if (compressed === "stream") put(markerOf(2, Math.ceil(locations.length * 4 / SECTOR)));
  const directory = put(new Uint8Array(Uint32Array.from(locations).buffer));
  const header = (location: number | null) =>
    headerOf({
      version,
      flags,
      capacity,
      grain,
      entries,
      descriptor: text.length > 0 ? [1, Math.ceil(text.length / SECTOR)] : [0, 0],
      directory: location,
      overhead: Math.max(1, firstGrain / SECTOR),
      compression: shape.compression ?? (compressed ? 1 : 0),
    });
  if (compressed === "stream") {
    put(markerOf(3, 1));
    put(header(directory));
    put(markerOf(0, 0));
  }
  const bytes = concat(parts);
  bytes.set(header(compressed === "stream" ? null : directory));
  return { bytes, directory, table: (locations[0] ?? 0) * SECTOR, firstGrain };
}

interface HeaderFields {
  readonly version: number;
  readonly flags: number;
  readonly capacity: number;
  readonly grain: number;
  readonly entries: number;
  readonly descriptor: readonly [number, number];
  readonly directory: number | null;
  readonly overhead: number;
  readonly compression: number;
}

function headerOf(fields: HeaderFields): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("KDMV"));
  view.setUint32(4, fields.version, true);
  view.setUint32(8, fields.flags, true);
  view.setBigUint64(12, BigInt(fields.capacity), true);
  view.setBigUint64(20, BigInt(fields.grain), true);
  view.setBigUint64(28, BigInt(fields.descriptor[0]), true);
  view.setBigUint64(36, BigInt(fields.descriptor[1]), true);
  view.setUint32(44, fields.entries, true);
  view.setBigUint64(56, fields.directory === null ? 0xffffffffffffffffn : BigInt(fields.directory / SECTOR), true);
  view.setBigUint64(64, BigInt(fields.overhead), true);
  bytes.set([10, 32, 13, 10], 73);
  view.setUint16(77, fields.compression, true);
  return bytes;
}

function compressedGrain(data: Uint8Array, sector: number, hasMarker: boolean): Uint8Array {
  const stream = deflateSync(data);
  if (!hasMarker) return stream;
  const bytes = new Uint8Array(12 + stream.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, stream.length, true);
  bytes.set(stream, 12);
  return bytes;
}

function markerOf(type: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sectors), true);
  view.setUint32(12, type, true);
  return bytes;
}

/** A COWD extent with grains of one sector, by "Virtual Disk Format 5.0", "ESXi Host Sparse Extents". */
export function cowd(grains: readonly (number | null)[], capacity = grains.length): Uint8Array {
  const header = new Uint8Array(2048);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode("COWD"));
  const tablesCount = Math.ceil(capacity / 4096);
  const directory = new Uint32Array(128 * Math.ceil(tablesCount / 128));
  const parts: Uint8Array[] = [];
  let next = 4 + directory.byteLength / SECTOR;
  for (let index = 0; index < tablesCount; index++) {
    const own = grains.slice(index * 4096, (index + 1) * 4096);
    if (own.every((value) => value === null)) continue;
    const table = new Uint32Array(4096);
    directory[index] = next;
    next += 32;
    parts.push(new Uint8Array(table.buffer));
    own.forEach((value, nth) => {
      if (value === null) return;
      table[nth] = next++;
      parts.push(new Uint8Array(SECTOR).fill(value));
    });
  }
  [1, 3, capacity, 1, 4, directory.length, next].forEach((value, index) => view.setUint32(4 + index * 4, value, true));
  return concat([header, new Uint8Array(directory.buffer), ...parts]);
}

/** What an seSparse grain is: data, zeroes, unmapped by the guest, or nothing. */
export type SeGrain = Grain | "unmapped";

/**
 * An seSparse extent with grains of 4 KiB. Its grains lie in the file from the last to the first, so that numbers and
 * locations differ.
 */
export function seSparse(grains: readonly SeGrain[], capacity = grains.length * 8): Uint8Array {
  const tablesCount = Math.ceil(capacity / 32768);
  const data = grains.filter((grain) => typeof grain === "number").length;
  // Sectors: 0 constant header, 1 volatile header, 2 grain directory, 8 grain tables, then grains.
  const tablesAt = 8;
  const grainsAt = tablesAt + tablesCount * 64;
  const bytes = new Uint8Array((grainsAt + data * 8) * SECTOR);
  const view = new DataView(bytes.buffer);
  const header = [0xcafebaben, 0x200000001n, BigInt(capacity), 8n, 64n];
  header.forEach((value, index) => view.setBigUint64(index * 8, value, true));
  const locations = [[80, 1], [88, 1], [128, 2], [136, 6], [144, tablesAt], [152, tablesCount * 64], [192, grainsAt]];
  for (const [at, value] of locations) view.setBigUint64(at, BigInt(value), true);
  view.setBigUint64(200, BigInt(data * 8), true);
  view.setBigUint64(SECTOR, 0xcafecafen, true);
  let next = data;
  grains.forEach((grain, index) => {
    const table = Math.floor(index / 4096);
    // Tables lie in the order of their numbers, from the last to the first of the disk.
    const number = tablesCount - 1 - table;
    view.setBigUint64(2 * SECTOR + table * 8, 0x1000000000000000n | BigInt(number), true);
    const entry = (tablesAt + number * 64) * SECTOR + index % 4096 * 8;
    if (grain === null) return;
    if (grain === "unmapped" || grain === "zero") {
      view.setBigUint64(entry, grain === "zero" ? 0x2000000000000000n : 0x1000000000000000n, true);
      return;
    }
    const location = BigInt(--next);
    view.setBigUint64(entry, 0x3000000000000000n | (location & 0xfffn) << 48n | location >> 12n, true);
    bytes.fill(grain, (grainsAt + next * 8) * SECTOR, (grainsAt + next * 8 + 8) * SECTOR);
  });
  return bytes;
}

/** A descriptor with these extent lines; further lines of the header may be given. */
export function descriptor(createType: string, extents: readonly string[], more: readonly string[] = []): string {
  return [
    "# Disk DescriptorFile",
    "version=1",
    "CID=1a2b3c4d",
    ...(more.some((line) => line.startsWith("parentCID")) ? [] : ["parentCID=ffffffff"]),
    `createType="${createType}"`,
    ...more,
    "",
    "# Extent description",
    ...extents,
    "",
    "# The Disk Data Base",
    "#DDB",
    'ddb.adapterType = "lsilogic"',
    "",
  ].join("\n");
}

/** Text as bytes. */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
