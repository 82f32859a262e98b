/**
 * A GUID partition table for another logical sector size: the same partitions at the same bytes, all sector numbers and
 * both copies written anew. "GUID Partition Table (GPT) Disk Layout", chapter 5 of the UEFI Specification 2.10.
 *
 * @module
 */
import { ceilDiv, type GuestReader, ImageError, setU64, viewOf } from "../../formats/mod.ts";
import { type Patch, patched } from "../open/patched.ts";
import {
  entriesLength,
  entriesOffset,
  entrySizeOf,
  type Gpt,
  headerWith,
  partitionTable,
  protectiveRecord,
  withProtectiveSize,
} from "./gpt.ts";

/** Field offsets of a partition entry, UEFI table 5.6. */
const ENTRY = { typeGuid: 0, firstLba: 32, lastLba: 40 } as const;
const GUID_BYTES = 16;

/**
 * Returns `reader` with its table written anew for sectors of `sectorSize` bytes, the backup at its end.
 *
 * @throws ImageError `refused` where the table is corrupt, or its partitions do not fit the other sectors
 */
export async function withConvertedGpt(
  reader: GuestReader,
  sectorSize: number,
  onWarning: (message: string) => void,
): Promise<GuestReader> {
  const table = await partitionTable(reader);
  const mbr = new Uint8Array(512);
  await reader.read(mbr, 0);
  const patches = table.kind === "gpt"
    ? convertedGpt(table.gpt, mbr, reader.size, sectorSize)
    : table.kind === "damaged"
    ? table.why
    : "the disk has none";
  if (typeof patches === "string") {
    const message = `Cannot write the partition table (GPT) anew for sectors of ${sectorSize} bytes: ${patches}`;
    throw new ImageError("refused", message);
  }
  onWarning(
    `the partition table is written anew for sectors of ${sectorSize} bytes; the file systems in its partitions stay as ` +
      `they are, and some, such as FAT and NTFS, are read only with the sectors that they were made for`,
  );
  return patched(reader, patches);
}

/**
 * Returns the patches that replace the table of a disk of `size` bytes by one for sectors of `sectorSize` bytes. Pure.
 *
 * @param mbr the first 512 bytes of the disk
 * @returns patches, where a later one overrides earlier ones; a text: why the table cannot be converted
 */
export function convertedGpt(gpt: Gpt, mbr: Uint8Array, size: number, sectorSize: number): Patch[] | string {
  const record = protectiveRecord(mbr);
  if (record < 0) return "its protective MBR has other records, which count in the same sectors";
  if (entriesOffset(gpt.header, gpt.sector) !== 2 * gpt.sector) return "its entries do not begin in sector 2";
  const length = entriesLength(gpt.header);
  const entrySectors = ceilDiv(length, sectorSize);
  const last = Math.floor(size / sectorSize) - 1;
  const usable = { first: 2 + entrySectors, last: last - entrySectors - 1 };
  const entries = new Uint8Array(entrySectors * sectorSize);
  entries.set(gpt.entries.subarray(0, length));
  const problem = convertEntries(entries.subarray(0, length), gpt, sectorSize, usable);
  if (problem !== null) return problem;
  const before = { entries: entries.subarray(0, length), entriesLba: 2, firstUsable: usable.first };
  const primary = headerWith(gpt.header, sectorSize, { ...before, alternateLba: last, lastUsable: usable.last });
  const backup = headerWith(primary, sectorSize, {
    myLba: last,
    alternateLba: 1,
    entriesLba: last - entrySectors,
  });
  return [
    ...oldTables(gpt),
    { start: 0, bytes: withProtectiveSize(mbr, record, last) },
    { start: sectorSize, bytes: primary },
    { start: 2 * sectorSize, bytes: entries },
    { start: (last - entrySectors) * sectorSize, bytes: entries },
    { start: last * sectorSize, bytes: backup },
  ];
}

/** Returns zeroes for the headers and entries of the old table. */
function oldTables({ sector, entries, alternateLba, hasBackup }: Gpt): Patch[] {
  const primary = { start: sector, bytes: new Uint8Array(sector + entries.length) };
  if (!hasBackup) return [primary];
  const backup = { start: alternateLba * sector - entries.length, bytes: new Uint8Array(entries.length + sector) };
  return [primary, backup];
}

/** Changes the sector numbers of all used entries; returns why one cannot be changed, or `null`. */
function convertEntries(
  entries: Uint8Array,
  { header, sector }: Gpt,
  sectorSize: number,
  usable: { readonly first: number; readonly last: number },
): string | null {
  const view = viewOf(entries);
  const entrySize = entrySizeOf(header);
  for (let at = 0, number = 1; at < entries.length; at += entrySize, number++) {
    if (entries.subarray(at, at + GUID_BYTES).every((byte) => byte === 0)) continue;
    const start = Number(view.getBigUint64(at + ENTRY.firstLba, true)) * sector;
    const end = (Number(view.getBigUint64(at + ENTRY.lastLba, true)) + 1) * sector;
    const name = `partition ${number}, bytes ${start} to ${end},`;
    if (start >= end) return `${name} ends before it begins`;
    if (start % sectorSize !== 0 || end % sectorSize !== 0) return `${name} is not aligned to them`;
    if (start < usable.first * sectorSize) {
      return `${name} begins before byte ${usable.first * sectorSize}, where the new table ends`;
    }
    if (end > (usable.last + 1) * sectorSize) {
      return `${name} ends after byte ${(usable.last + 1) * sectorSize}, where the backup of the new table begins; ` +
        `--round makes the disk longer`;
    }
    setU64(view, at + ENTRY.firstLba, start / sectorSize, true);
    setU64(view, at + ENTRY.lastLba, end / sectorSize - 1, true);
  }
  return null;
}
