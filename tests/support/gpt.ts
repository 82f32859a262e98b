/**
 * Makes and checks GUID partition tables as in the UEFI Specification 2.10, chapter 5.3; shares no code with the program.
 *
 * @module
 */
import assert from "node:assert/strict";

/** CRC-32 of IEEE 802.3, bit by bit. */
export function crc(bytes: Uint8Array): number {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

const ENTRIES = 128 * 128;

/** A partition to write. */
export interface GptEntry {
  /** Type GUID as text. */
  readonly type: string;
  /** First and last sector. */
  readonly first: number;
  readonly last: number;
  readonly name?: string;
  /** The lowest 32 attribute bits. */
  readonly attributes?: number;
}

/** Returns a GUID as it is stored: the first three fields little-endian. */
export function guidBytes(text: string): Uint8Array {
  const bytes = Uint8Array.from(text.replaceAll("-", "").match(/../g)!, (hex) => parseInt(hex, 16));
  return Uint8Array.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15], (at) => bytes[at]!);
}

function entryBytes({ type, first, last, name = "", attributes = 0 }: GptEntry): Uint8Array {
  const entry = new Uint8Array(128);
  const view = new DataView(entry.buffer);
  entry.set(guidBytes(type));
  entry.fill(0x77, 16, 32);
  view.setBigUint64(32, BigInt(first), true);
  view.setBigUint64(40, BigInt(last), true);
  view.setUint32(48, attributes, true);
  [...name].forEach((letter, at) => view.setUint16(56 + 2 * at, letter.charCodeAt(0), true));
  return entry;
}

/** Writes a table into a disk whose last sector holds the backup header; default: one partition of all usable sectors. */
export function putGpt(disk: Uint8Array, sector: number, partitions?: readonly GptEntry[]): void {
  const last = disk.length / sector - 1;
  const span = ENTRIES / sector;
  const entries = new Uint8Array(ENTRIES);
  entries.fill(0xa5, 0, 32); // type and unique GUID
  const entry = new DataView(entries.buffer);
  entry.setBigUint64(32, BigInt(2 + span), true);
  entry.setBigUint64(40, BigInt(last - span - 1), true);
  if (partitions) {
    entries.fill(0);
    partitions.forEach((one, index) => entries.set(entryBytes(one), 128 * index));
  }
  const header = (own: number, other: number, entriesLba: number) => {
    const bytes = new Uint8Array(sector);
    const view = new DataView(bytes.buffer);
    bytes.set(new TextEncoder().encode("EFI PART"));
    view.setUint32(8, 0x10000, true);
    view.setUint32(12, 92, true);
    view.setBigUint64(24, BigInt(own), true);
    view.setBigUint64(32, BigInt(other), true);
    view.setBigUint64(40, BigInt(2 + span), true);
    view.setBigUint64(48, BigInt(last - span - 1), true);
    bytes.fill(0x5a, 56, 72);
    view.setBigUint64(72, BigInt(entriesLba), true);
    view.setUint32(80, 128, true);
    view.setUint32(84, 128, true);
    view.setUint32(88, crc(entries), true);
    view.setUint32(16, crc(bytes.subarray(0, 92)), true);
    return bytes;
  };
  const mbr = new DataView(disk.buffer, disk.byteOffset);
  disk.fill(0, 446, 510);
  disk[446 + 4] = 0xee;
  mbr.setUint32(446 + 8, 1, true);
  mbr.setUint32(446 + 12, Math.min(last, 0xffffffff), true);
  disk[510] = 0x55;
  disk[511] = 0xaa;
  disk.set(header(1, last, 2), sector);
  disk.set(entries, 2 * sector);
  disk.set(entries, (last - span) * sector);
  disk.set(header(last, 1, last - span), last * sector);
}

/** Asserts that the disk has a protective MBR of its size and two valid headers, the second in its last sector. */
export function assertGpt(disk: Uint8Array, sector: number): void {
  const view = new DataView(disk.buffer, disk.byteOffset, disk.byteLength);
  const last = disk.length / sector - 1;
  assert.ok(Number.isInteger(last));
  assert.deepEqual([...disk.subarray(510, 512)], [0x55, 0xaa]);
  assert.equal(disk[446 + 4], 0xee);
  assert.equal(view.getUint32(446 + 8, true), 1);
  assert.equal(view.getUint32(446 + 12, true), Math.min(last, 0xffffffff), "size of the protective record");
  const shared: unknown[] = [];
  for (const [own, other] of [[1, last], [last, 1]]) {
    const at = own * sector;
    assert.equal(new TextDecoder().decode(disk.subarray(at, at + 8)), "EFI PART");
    const bytes = disk.slice(at, at + view.getUint32(at + 12, true));
    bytes.fill(0, 16, 20);
    assert.equal(view.getUint32(at + 16, true), crc(bytes), `checksum of the header in sector ${own}`);
    assert.equal(Number(view.getBigUint64(at + 24, true)), own, "MyLBA");
    assert.equal(Number(view.getBigUint64(at + 32, true)), other, "AlternateLBA");
    const entries = Number(view.getBigUint64(at + 72, true));
    const length = view.getUint32(at + 80, true) * view.getUint32(at + 84, true);
    const lastUsable = Number(view.getBigUint64(at + 48, true));
    assert.equal(view.getUint32(at + 88, true), crc(disk.subarray(entries * sector, entries * sector + length)));
    if (own === last) assert.equal(entries + length / sector, last, "entries end where the backup header begins");
    assert.equal(lastUsable, last - length / sector - 1, "LastUsableLBA");
    shared.push([Number(view.getBigUint64(at + 40, true)), lastUsable, [...disk.subarray(at + 56, at + 72)], length]);
  }
  assert.deepEqual(shared[0], shared[1]);
}
