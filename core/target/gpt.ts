/**
 * The GUID partition table of a disk, and what must be written when the disk becomes longer. "GUID Partition Table (GPT)
 * Disk Layout", chapter 5 of the UEFI Specification 2.10. All fields are little-endian; an LBA is a sector number.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { asciiText, ceilDiv, type GuestReader, isPowerOfTwo, viewOf } from "../../formats/mod.ts";
import type { Patch } from "../open/patched.ts";

/** Field offsets of the header, UEFI table 5.5. */
const AT = {
  revision: 8,
  headerSize: 12,
  headerCrc: 16,
  myLba: 24,
  alternateLba: 32,
  firstUsable: 40,
  lastUsable: 48,
  entriesLba: 72,
  entryCount: 80,
  entrySize: 84,
  entriesCrc: 88,
} as const;

const SIGNATURE = "EFI PART";
const REVISION = 0x00010000;
const HEADER_MIN = 92;
/** The specification reserves at least 16 KiB for the entries; 64 times as much is more than any tool writes. */
const ENTRIES_MAX = 1 << 20;
/** Offset of the partition records in the protective MBR, UEFI table 5.4, and the type of a protective record. */
const MBR_RECORDS = 446;
const PROTECTIVE = 0xee;

/** A partition table with a valid primary header and entries. LBAs count sectors of `sector` bytes. */
export interface Gpt {
  /** Bytes of a logical sector: 512 or 4096. */
  readonly sector: number;
  /** The primary header's whole sector. */
  readonly header: Uint8Array;
  /** The partition entries, in whole sectors. */
  readonly entries: Uint8Array;
  /** LBA of the backup header, as the primary header states it. */
  readonly alternateLba: number;
  /** Last LBA that partitions may use. */
  readonly lastUsable: number;
  /** Whether a valid backup header is at {@linkcode alternateLba}, with its entries before it. */
  readonly hasBackup: boolean;
  /** Whether the backup header is in the last sector of the disk, as it must be. */
  readonly backupAtEnd: boolean;
}

/** The partition table of a disk. */
export type PartitionTable =
  | { readonly kind: "gpt"; readonly gpt: Gpt }
  /** A GPT that is corrupt; `why`: the reason for messages. */
  | { readonly kind: "damaged"; readonly why: string }
  | { readonly kind: "mbr" }
  | { readonly kind: "none" };

/** Logical sector sizes in bytes, that which is tried first before the other. */
const SECTOR_SIZES = [512, 4096];

/** Implements `partitionTable` of `disk.ts`. */
export async function partitionTable(disk: GuestReader, sectorSize?: number): Promise<PartitionTable> {
  const head = await readAt(disk, 0, Math.min(disk.size, 8192));
  let why = "the primary header is missing";
  let marks = protectiveRecord(head) >= 0;
  for (const sector of SECTOR_SIZES.toSorted((a, b) => Number(b === sectorSize) - Number(a === sectorSize))) {
    if (asciiText(head.subarray(sector, sector + 8)) !== SIGNATURE || head.length < 2 * sector) continue;
    const found = await readGpt(disk, head.slice(sector, 2 * sector), sector);
    if (typeof found !== "string") return { kind: "gpt", gpt: found };
    [why, marks] = [found, true];
  }
  if (marks) return { kind: "damaged", why };
  return head[510] === 0x55 && head[511] === 0xaa ? { kind: "mbr" } : { kind: "none" };
}

async function readAt(disk: GuestReader, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await disk.read(bytes, start);
  return bytes;
}

/** Returns the table of a primary header; a text: why it is corrupt. */
async function readGpt(disk: GuestReader, header: Uint8Array, sector: number): Promise<Gpt | string> {
  const fault = headerFault(header, sector, 1);
  if (fault !== null) return fault;
  const sectors = Math.floor(disk.size / sector);
  const length = entriesLength(header);
  const firstLba = lba(header, AT.entriesLba);
  const lastUsable = lba(header, AT.lastUsable);
  if (firstLba < 2 || firstLba + ceilDiv(length, sector) > sectors) return "its entries lie outside the disk";
  const entries = await readAt(disk, firstLba * sector, ceilDiv(length, sector) * sector);
  if (crc32(entries.subarray(0, length)) !== viewOf(header).getUint32(AT.entriesCrc, true)) {
    return "the checksum of the entries is wrong";
  }
  const alternateLba = lba(header, AT.alternateLba);
  const backup = alternateLba > lastUsable && alternateLba < sectors
    ? await readAt(disk, alternateLba * sector, sector)
    : null;
  const hasBackup = backup !== null && headerFault(backup, sector, alternateLba) === null &&
    lba(backup, AT.entriesLba) > lastUsable && lba(backup, AT.entriesLba) < alternateLba &&
    await hasValidEntries(disk, backup, sector);
  const backupAtEnd = hasBackup && alternateLba === sectors - 1;
  return { sector, header, entries, alternateLba, lastUsable, hasBackup, backupAtEnd };
}

async function hasValidEntries(disk: GuestReader, header: Uint8Array, sector: number): Promise<boolean> {
  const start = lba(header, AT.entriesLba) * sector;
  if (start + entriesLength(header) > disk.size) return false;
  return crc32(await readAt(disk, start, entriesLength(header))) === viewOf(header).getUint32(AT.entriesCrc, true);
}

/** Returns why a header is corrupt, without regard to its entries; `null` for a valid one. */
function headerFault(header: Uint8Array, sector: number, own: number): string | null {
  const view = viewOf(header);
  const size = view.getUint32(AT.headerSize, true);
  if (asciiText(header.subarray(0, 8)) !== SIGNATURE) return "the header is missing";
  if (view.getUint32(AT.revision, true) !== REVISION) return "its revision is not 1.0";
  if (size < HEADER_MIN || size > sector) return `its header has ${size} bytes`;
  if (headerCrc(header) !== view.getUint32(AT.headerCrc, true)) return "the checksum of the header is wrong";
  if (lba(header, AT.myLba) !== own) return "the header says that it belongs elsewhere";
  const entrySize = view.getUint32(AT.entrySize, true);
  if (entrySize < 128 || !isPowerOfTwo(entrySize)) return `an entry has ${entrySize} bytes`;
  const length = entriesLength(header);
  return length === 0 || length > ENTRIES_MAX ? `its entries have ${length} bytes` : null;
}

/** Returns the bytes of all entries. */
export function entriesLength(header: Uint8Array): number {
  return viewOf(header).getUint32(AT.entryCount, true) * entrySizeOf(header);
}

/** Returns the bytes of one entry. */
export function entrySizeOf(header: Uint8Array): number {
  return viewOf(header).getUint32(AT.entrySize, true);
}

/** Returns the guest offset of the entries. */
export function entriesOffset(header: Uint8Array, sectorSize: number): number {
  return lba(header, AT.entriesLba) * sectorSize;
}

/** Returns an LBA. Numbers above 2^53 lose precision, but stay above every sector of a disk. */
function lba(header: Uint8Array, at: number): number {
  return Number(viewOf(header).getBigUint64(at, true));
}

/** Returns the checksum of a header, with the checksum field taken as zero. */
function headerCrc(header: Uint8Array): number {
  const bytes = header.slice(0, viewOf(header).getUint32(AT.headerSize, true));
  bytes.fill(0, AT.headerCrc, AT.headerCrc + 4);
  return crc32(bytes);
}

/** Returns the offset of the record of a protective MBR; -1 without one, or where the MBR has other records. */
export function protectiveRecord(mbr: Uint8Array): number {
  if (mbr.length < 512 || mbr[510] !== 0x55 || mbr[511] !== 0xaa) return -1;
  const used = [0, 1, 2, 3].map((index) => MBR_RECORDS + 16 * index).filter((at) => mbr[at + 4] !== 0);
  const alone = used.length === 1 && mbr[used[0] + 4] === PROTECTIVE && viewOf(mbr).getUint32(used[0] + 8, true) === 1;
  return alone ? used[0] : -1;
}

/**
 * Returns the patches that fit the table to a disk of `size` bytes: primary header and protective MBR with new LBAs, the
 * backup at the new end, zeroes in place of the old backup. Pure.
 *
 * @param mbr the first 512 bytes of the disk
 * @returns patches, where a later one overrides earlier ones; a text: why the table cannot be moved
 */
export function movedGpt(gpt: Gpt, mbr: Uint8Array, size: number): Patch[] | string {
  const { sector, entries } = gpt;
  const last = Math.floor(size / sector) - 1;
  const entriesLba = last - entries.length / sector;
  if (gpt.lastUsable >= entriesLba) return "its partitions reach past the end of the disk";
  const primary = headerWith(gpt.header, sector, { alternateLba: last, lastUsable: entriesLba - 1 });
  const backup = headerWith(primary, sector, { myLba: last, alternateLba: 1, entriesLba });
  const patches: Patch[] = [];
  if (gpt.hasBackup && gpt.alternateLba !== last) {
    const start = Math.max(gpt.lastUsable + 1, gpt.alternateLba - entries.length / sector) * sector;
    patches.push({ start, bytes: new Uint8Array((gpt.alternateLba + 1) * sector - start) });
  }
  const record = protectiveRecord(mbr);
  if (record >= 0) patches.push({ start: 0, bytes: withProtectiveSize(mbr, record, last) });
  patches.push({ start: sector, bytes: primary });
  patches.push({ start: entriesLba * sector, bytes: concat(entries, backup) });
  return patches;
}

/** New values of a header. */
export interface HeaderChanges {
  readonly myLba?: number;
  readonly alternateLba?: number;
  readonly firstUsable?: number;
  readonly lastUsable?: number;
  readonly entriesLba?: number;
  /** Bytes of all entries, where they have changed. */
  readonly entries?: Uint8Array;
}

/** Returns the sector of a header with changed fields and its new checksum. */
export function headerWith(header: Uint8Array, sectorSize: number, changes: HeaderChanges): Uint8Array {
  const { entries, ...lbas } = changes;
  const bytes = new Uint8Array(sectorSize);
  bytes.set(header.subarray(0, Math.min(sectorSize, viewOf(header).getUint32(AT.headerSize, true))));
  const view = viewOf(bytes);
  for (const [name, value] of Object.entries(lbas)) {
    view.setBigUint64(AT[name as keyof typeof lbas], BigInt(value), true);
  }
  if (entries) view.setUint32(AT.entriesCrc, crc32(entries), true);
  view.setUint32(AT.headerCrc, headerCrc(bytes), true);
  return bytes;
}

/** Returns an MBR whose protective record spans the disk: all but its first sector, or as much as the field can hold. */
export function withProtectiveSize(mbr: Uint8Array, record: number, last: number): Uint8Array {
  const bytes = mbr.slice(0, 512);
  bytes.fill(0xff, record + 5, record + 8); // The end as cylinder, head and sector: out of range.
  viewOf(bytes).setUint32(record + 12, Math.min(last, 0xffff_ffff), true);
  return bytes;
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
