/**
 * The region tables ([MS-VHDX] 2.2.3): where BAT and metadata stand. There are two alike; one that is damaged is made up
 * for by the other.
 *
 * @module
 */
import { equalBytes, setU64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { structureChecksum } from "./crc32c.ts";
import { guidAt, setGuid } from "./guid.ts";
import { HEADER_SECTION } from "./header.ts";
import { MIB } from "./limits.ts";

/** Where the region tables stand, in file bytes. */
export const REGION_TABLES_AT = [192 << 10, 256 << 10] as const;
/** Length of a region table. */
export const REGION_TABLE_BYTES = 64 << 10;
const MAX_ENTRIES = 2047;

const BAT = "2dc27766-f623-4200-9d64-115e9bfd4a08";
const METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e";

/** A part of the file, in file bytes. */
export interface Area {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Where things stand in the file. */
export interface Regions {
  readonly bat: Area;
  readonly metadata: Area;
  /** All that is not for blocks: headers, log and every region, in the order of their places. */
  readonly areas: readonly Area[];
}

interface Entry extends Area {
  readonly guid: string;
  readonly required: boolean;
}

/**
 * Reads the region table.
 *
 * @param log the log's place, which no region may touch
 * @throws ImageError `corrupt` if both tables are damaged, a region lies where it cannot, or one is missing;
 * `unsupported` for an unknown region that is required
 */
export async function readRegions(storage: Storage, log: Area): Promise<Regions> {
  const entries = await readEntries(storage);
  for (const entry of entries) checkEntry(entry, storage);
  const areas = checkedAreas([{ name: "header section", start: 0, end: HEADER_SECTION }, log, ...entries], storage);
  return { bat: theOne(entries, BAT, "BAT", storage), metadata: theOne(entries, METADATA, "metadata", storage), areas };
}

async function readEntries(storage: Storage): Promise<Entry[]> {
  const { label } = storage;
  const least = REGION_TABLES_AT[1] + REGION_TABLE_BYTES;
  if (storage.size < least) {
    throw corrupt(`Cannot read the region tables of "${label}": the file ends at ${storage.size}`, label);
  }
  const bytes = await soundTable(storage);
  const view = viewOf(bytes);
  const count = view.getUint32(8, true);
  if (count > MAX_ENTRIES) {
    throw corrupt(`Cannot use the region table of "${label}": it has ${count} entries`, label, REGION_TABLES_AT[0]);
  }
  return [...Array(count).keys()].map((nth) => entryAt(bytes, view, 16 + 32 * nth));
}

/** The places of the tables that are not what the first whole one is. */
export async function damagedTables(storage: Storage): Promise<number[]> {
  const sound = await soundTable(storage);
  const damaged: number[] = [];
  for (const tableAt of REGION_TABLES_AT) {
    const bytes = new Uint8Array(REGION_TABLE_BYTES);
    await storage.readAt(bytes, tableAt);
    if (!equalBytes(bytes, sound)) damaged.push(tableAt);
  }
  return damaged;
}

/** The first of the two tables that is whole. */
export async function soundTable(storage: Storage): Promise<Uint8Array> {
  for (const tableAt of REGION_TABLES_AT) {
    const bytes = new Uint8Array(REGION_TABLE_BYTES);
    await storage.readAt(bytes, tableAt);
    const view = viewOf(bytes);
    if (view.getUint32(0) === 0x72656769 && view.getUint32(4, true) === structureChecksum(bytes)) return bytes;
  }
  const { label } = storage;
  throw corrupt(`Cannot use the region tables of "${label}": both are damaged`, label, REGION_TABLES_AT[0]);
}

function entryAt(bytes: Uint8Array, view: DataView, at: number): Entry {
  const guid = guidAt(bytes, at);
  // Beyond 2^53 it is out of every file; what exactly it says does not matter.
  const start = view.getUint32(at + 20, true) * 2 ** 32 + view.getUint32(at + 16, true);
  const end = start + view.getUint32(at + 24, true);
  const name = guid === BAT ? "BAT" : guid === METADATA ? "metadata region" : `region ${guid}`;
  return { guid, name, start, end, required: (view.getUint32(at + 28, true) & 1) !== 0 };
}

function checkEntry(entry: Entry, storage: Storage): void {
  const { label, size } = storage;
  if (entry.required && entry.guid !== BAT && entry.guid !== METADATA) {
    const message =
      `Cannot open "${label}": it has a ${entry.name}, which readers must know, and which is unknown here`;
    throw new ImageError("unsupported", message, { path: label });
  }
  const { name, start, end } = entry;
  if (start % MIB !== 0 || end % MIB !== 0 || start < HEADER_SECTION || end <= start || end > size) {
    const message = `Cannot use the ${name} of "${label}": it has the bytes ${start} to ${end}, which must be whole ` +
      `MiB between the headers and the end of the file (${size})`;
    throw corrupt(message, label, REGION_TABLES_AT[0]);
  }
}

function checkedAreas(areas: readonly Area[], storage: Storage): Area[] {
  const sorted = areas.filter((area) => area.end > area.start).sort((a, b) => a.start - b.start);
  sorted.forEach((area, index) => {
    const before = sorted[index - 1];
    if (!before || before.end <= area.start) return;
    const message = `Cannot open "${storage.label}": its ${before.name} and its ${area.name} overlap at ${area.start}`;
    throw corrupt(message, storage.label, area.start);
  });
  return sorted;
}

function theOne(entries: readonly Entry[], guid: string, what: string, storage: Storage): Area {
  const found = entries.find((entry) => entry.guid === guid);
  if (found) return found;
  throw corrupt(`Cannot open "${storage.label}": its region table names no ${what}`, storage.label);
}

/** A region table as it stands in the file. */
export function encodeRegions(bat: Area, metadata: Area): Uint8Array {
  const bytes = new Uint8Array(REGION_TABLE_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, 0x72656769);
  view.setUint32(8, 2, true);
  [{ guid: BAT, ...bat }, { guid: METADATA, ...metadata }].forEach(({ guid, start, end }, nth) => {
    const at = 16 + 32 * nth;
    setGuid(bytes, at, guid);
    setU64(view, at + 16, start, true);
    view.setUint32(at + 24, end - start, true);
    view.setUint32(at + 28, 1, true);
  });
  view.setUint32(4, structureChecksum(bytes), true);
  return bytes;
}

/** A region table of the file with the BAT at another place, all else as it is. */
export async function withMovedBat(storage: Storage, bat: Area): Promise<Uint8Array> {
  const bytes = await soundTable(storage);
  const view = viewOf(bytes);
  const count = view.getUint32(8, true);
  const at = [...Array(count).keys()].map((nth) => 16 + 32 * nth).find((at) => guidAt(bytes, at) === BAT)!;
  setU64(view, at + 16, bat.start, true);
  view.setUint32(at + 24, bat.end - bat.start, true);
  view.setUint32(4, structureChecksum(bytes), true);
  return bytes;
}
