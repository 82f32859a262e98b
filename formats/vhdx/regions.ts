/**
 * The region tables ([MS-VHDX] 2.2.3) with the locations of BAT and metadata. There are two copies; the second is used
 * where the first is damaged.
 *
 * @module
 */
import { equalBytes, MIB, setU64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { structureChecksum } from "./crc32c.ts";
import { setUuid, uuidAt } from "../shared/uuid.ts";
import { HEADER_SECTION } from "./header.ts";

/** File offsets of the region tables. */
export const REGION_TABLES_AT = [192 << 10, 256 << 10] as const;
/** Bytes of a region table. */
export const REGION_TABLE_BYTES = 64 << 10;
const MAX_ENTRIES = 2047;

const BAT = "2dc27766-f623-4200-9d64-115e9bfd4a08";
const METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e";

/** A range of file bytes. */
export interface Area {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** The regions of an image. */
export interface Regions {
  readonly bat: Area;
  readonly metadata: Area;
  /** Areas that hold no blocks: header section, log and every region, in the order of their offsets. */
  readonly areas: readonly Area[];
}

interface Entry extends Area {
  readonly guid: string;
  readonly required: boolean;
}

/**
 * Reads the region table.
 *
 * @param log the area of the log, which no region may overlap
 * @throws ImageError `corrupt` if both tables are damaged, a region has an invalid location, or one is missing;
 * `unsupported` for an unknown region that is required
 */
export async function readRegions(storage: Storage, log: Area): Promise<Regions> {
  const entries = await readEntries(storage);
  for (const entry of entries) checkEntry(entry, storage);
  const areas = checkedAreas([{ name: "header section", start: 0, end: HEADER_SECTION }, log, ...entries], storage);
  return {
    bat: requiredRegion(entries, BAT, "BAT", storage),
    metadata: requiredRegion(entries, METADATA, "metadata", storage),
    areas,
  };
}

async function readEntries(storage: Storage): Promise<Entry[]> {
  const { label } = storage;
  const least = REGION_TABLES_AT[1] + REGION_TABLE_BYTES;
  if (storage.size < least) {
    throw corrupt(`Cannot read the region tables of "${label}": the file ends at ${storage.size}`, label);
  }
  const bytes = await readValidTable(storage);
  const view = viewOf(bytes);
  const count = view.getUint32(8, true);
  if (count > MAX_ENTRIES) {
    throw corrupt(`Cannot use the region table of "${label}": it has ${count} entries`, label, REGION_TABLES_AT[0]);
  }
  return [...Array(count).keys()].map((nth) => entryAt(bytes, view, 16 + 32 * nth));
}

/** Returns the file offsets of the tables that differ from the first valid one. */
export async function damagedTables(storage: Storage): Promise<number[]> {
  const valid = await readValidTable(storage);
  const damaged: number[] = [];
  for (const tableAt of REGION_TABLES_AT) {
    const bytes = new Uint8Array(REGION_TABLE_BYTES);
    await storage.readAt(bytes, tableAt);
    if (!equalBytes(bytes, valid)) damaged.push(tableAt);
  }
  return damaged;
}

/** Returns the first table with a valid checksum. */
export async function readValidTable(storage: Storage): Promise<Uint8Array> {
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
  const guid = uuidAt(bytes, at, "mixed");
  // Above 2^53 the value is inexact, and lies outside every file anyway.
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

function requiredRegion(entries: readonly Entry[], guid: string, what: string, storage: Storage): Area {
  const found = entries.find((entry) => entry.guid === guid);
  if (found) return found;
  throw corrupt(`Cannot open "${storage.label}": its region table names no ${what}`, storage.label);
}

/** Encodes a region table. */
export function encodeRegions(bat: Area, metadata: Area): Uint8Array {
  const bytes = new Uint8Array(REGION_TABLE_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, 0x72656769);
  view.setUint32(8, 2, true);
  [{ guid: BAT, ...bat }, { guid: METADATA, ...metadata }].forEach(({ guid, start, end }, nth) => {
    const at = 16 + 32 * nth;
    setUuid(bytes, at, guid, "mixed");
    setU64(view, at + 16, start, true);
    view.setUint32(at + 24, end - start, true);
    view.setUint32(at + 28, 1, true);
  });
  view.setUint32(4, structureChecksum(bytes), true);
  return bytes;
}

/** Returns the region table of the file with another location of the BAT. */
export async function withMovedBat(storage: Storage, bat: Area): Promise<Uint8Array> {
  const bytes = await readValidTable(storage);
  const view = viewOf(bytes);
  const count = view.getUint32(8, true);
  const at = [...Array(count).keys()].map((nth) => 16 + 32 * nth).find((at) => uuidAt(bytes, at, "mixed") === BAT)!;
  setU64(view, at + 16, bat.start, true);
  view.setUint32(at + 24, bat.end - bat.start, true);
  view.setUint32(4, structureChecksum(bytes), true);
  return bytes;
}
