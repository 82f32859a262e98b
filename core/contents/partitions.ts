/**
 * The partitions of a disk: entries of a GPT (UEFI Specification 2.10, table 5.7) and records of master boot records.
 *
 * @module
 */
import { type GuestReader, viewOf } from "../../formats/mod.ts";
import { gptTypeName, MBR_EXTENDED, mbrTypeId, mbrTypeName } from "./partition_types.ts";
import { type FileSystem, fileSystemOf } from "./signatures.ts";

/** A partition. Positions are guest bytes. */
export interface Partition {
  /** Its number, as Linux counts: logical partitions of an MBR begin at 5. */
  readonly number: number;
  /** First byte. */
  readonly start: number;
  /** Bytes, as the table states them: a damaged table may state more than the disk has. */
  readonly size: number;
  /** Its type in words; the ID where the type is not known. */
  readonly type: string;
  /** Type GUID of a GPT, in lower case, or the type byte of an MBR: `0x83`. */
  readonly typeId: string;
  /** Its name in a GPT. */
  readonly name?: string;
  /** Whether an MBR marks it as active, or a GPT as bootable by BIOS. */
  readonly active?: boolean;
  /** Its file system, or another use, by its signature. */
  readonly fileSystem?: FileSystem;
}

/** Most partitions that are listed. The usual GPT has room for 128. */
const MAX_PARTITIONS = 256;

/** Field offsets of a GPT entry. */
const GPT = { type: 0, first: 32, last: 40, attributes: 48, name: 56, nameEnd: 128 } as const;
/** Attribute bit 2: legacy BIOS bootable. */
const LEGACY_BOOT = 4;

/**
 * Returns the partitions of a GPT. Pure.
 *
 * @param entries the partition entries
 * @param entrySize bytes of an entry
 * @param sector bytes of a logical sector
 */
export function gptPartitions(entries: Uint8Array, entrySize: number, sector: number): Partition[] {
  const found: Partition[] = [];
  for (let at = 0; at + entrySize <= entries.length && found.length < MAX_PARTITIONS; at += entrySize) {
    const entry = entries.subarray(at, at + entrySize);
    const typeId = guidText(entry.subarray(GPT.type, GPT.type + 16));
    if (typeId === NO_TYPE) continue;
    const view = viewOf(entry);
    const [first, last] = [view.getBigUint64(GPT.first, true), view.getBigUint64(GPT.last, true)].map(Number);
    if (last! < first!) continue;
    const name = new TextDecoder("utf-16le").decode(entry.subarray(GPT.name, GPT.nameEnd)).replace(/\0.*$/s, "");
    found.push({
      number: at / entrySize + 1,
      start: first! * sector,
      size: (last! - first! + 1) * sector,
      type: gptTypeName(typeId),
      typeId,
      ...(name !== "" && { name }),
      ...((view.getUint32(GPT.attributes, true) & LEGACY_BOOT) !== 0 && { active: true }),
    });
  }
  return found;
}

const NO_TYPE = "00000000-0000-0000-0000-000000000000";

/** Returns a GUID as text: its first three fields are little-endian, UEFI Specification 2.10, appendix A. */
function guidText(bytes: Uint8Array): string {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const hex = order.map((at) => bytes[at]!.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Offset of the four records of an MBR, bytes of a record, and the signature at the end of the sector. */
const RECORDS = 446;
const RECORD = 16;
const SIGNATURE = 510;
const ACTIVE = 0x80;

/** A record of an MBR. Sectors are logical ones. */
interface MbrRecord {
  readonly active: boolean;
  readonly type: number;
  readonly first: number;
  readonly sectors: number;
}

/** Returns the four records of an MBR; `null` where they are none, as in the boot sector of a file system. */
function recordsOf(sector: Uint8Array): MbrRecord[] | null {
  if (sector.length < 512 || sector[SIGNATURE] !== 0x55 || sector[SIGNATURE + 1] !== 0xaa) return null;
  const view = viewOf(sector);
  const records = [0, 1, 2, 3].map((index) => RECORDS + RECORD * index);
  if (records.some((at) => sector[at] !== 0 && sector[at] !== ACTIVE)) return null;
  return records.map((at) => ({
    active: sector[at] === ACTIVE,
    type: sector[at + 4]!,
    first: view.getUint32(at + 8, true),
    sectors: view.getUint32(at + 12, true),
  }));
}

/**
 * Returns whether the first sector of a disk is an MBR with at least one partition. The boot sector of a file system that
 * fills the whole disk ends with the same signature. Pure.
 */
export function hasMbr(sector: Uint8Array): boolean {
  return fileSystemOf(sector.subarray(0, 512)) === null && (recordsOf(sector) ?? []).some(isUsed);
}

function isUsed({ type, first, sectors }: MbrRecord): boolean {
  return type !== 0 && first > 0 && sectors > 0;
}

/**
 * Returns the partitions of an MBR, with the logical ones of its extended partitions.
 *
 * @param mbr the first sector of the disk
 * @param sector bytes of a logical sector
 */
export async function mbrPartitions(disk: GuestReader, mbr: Uint8Array, sector: number): Promise<Partition[]> {
  const records = recordsOf(mbr) ?? [];
  const found = records.flatMap((record, index) => isUsed(record) ? [mbrPartition(record, index + 1, 0, sector)] : []);
  for (const record of records.filter((one) => isUsed(one) && MBR_EXTENDED.includes(one.type))) {
    const logical = Math.max(4, ...found.map(({ number }) => number)) + 1;
    found.push(...await logicalPartitions(disk, record.first, logical, sector));
  }
  return found;
}

/** Most logical partitions. Linux has as many. */
const MAX_LOGICAL = 60;

/** Returns the logical partitions of an extended one: each has a table with itself and the next table. */
async function logicalPartitions(
  disk: GuestReader,
  extended: number,
  firstNumber: number,
  sector: number,
): Promise<Partition[]> {
  const found: Partition[] = [];
  const seen = new Set<number>();
  for (let at = extended; found.length < MAX_LOGICAL && !seen.has(at) && (at + 1) * sector <= disk.size;) {
    seen.add(at);
    const table = new Uint8Array(512);
    await disk.read(table, at * sector);
    const [own, next] = recordsOf(table) ?? [];
    if (own === undefined || next === undefined) break;
    // The partition is counted from its table, the next table from the extended partition.
    if (isUsed(own)) found.push(mbrPartition(own, firstNumber + found.length, at, sector));
    if (!isUsed(next) || !MBR_EXTENDED.includes(next.type)) break;
    at = extended + next.first;
  }
  return found;
}

function mbrPartition(record: MbrRecord, number: number, base: number, sector: number): Partition {
  return {
    number,
    start: (base + record.first) * sector,
    size: record.sectors * sector,
    type: mbrTypeName(record.type),
    typeId: mbrTypeId(record.type),
    ...(record.active && { active: true }),
  };
}
