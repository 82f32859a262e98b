/**
 * Maps guest bytes to grains, for all types of sparse extent files: the grain directory is in memory, grain tables are
 * cached. Guest bytes count from the start of the extent file.
 *
 * @module
 */
import { alignDown, equalBytes, zeroes } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { compressedExtent, dataExtent, type Extent, holeExtent, zeroExtent } from "../extent.ts";
import type { AdjacentTables, TableReader } from "./grain_table_reader.ts";

/** Grains of a hole that are looked at one by one. */
const FEW_GRAINS = 16;

/** Instead of a file offset: not allocated, reads from the backing file. */
export const HOLE = -1;
/** Instead of a file offset: reads as zeroes. */
export const ZERO = -2;
/** Instead of a file offset: an invalid entry. */
export const BAD = -3;

/** The most entries of a grain directory: 128 TiB with grains of 64 KiB and tables of 512 entries. */
export const MAX_DIRECTORY_ENTRIES = 1 << 22;

/** The mapping of one sparse extent file. */
export interface GrainMap {
  /** The file that holds tables and grains. */
  readonly storage: Storage;
  /** The name of the file in messages. */
  readonly label: string;
  /** Guest bytes. */
  readonly size: number;
  readonly grainBytes: number;
  /** Guest bytes that one grain table covers. */
  readonly tableCoverage: number;
  /** Whether grains are compressed. */
  readonly compressed: boolean;
  /** Returns the file offset of a grain table, or {@linkcode HOLE}, {@linkcode ZERO}, {@linkcode BAD}. */
  tableAt(index: number): number;
  /** Returns the file offset of the grain of a table entry, maybe past the end of a truncated file, or {@linkcode HOLE}, {@linkcode ZERO}, {@linkcode BAD}. */
  grainAt(table: DataView, index: number): number;
  readonly tables: TableReader;
}

/**
 * Returns the extent at `start`, up to the end of the grain tables that one request reads, and at most to `limit`.
 *
 * @throws ImageError `corrupt` for an invalid entry at `start`; a later invalid entry only ends the extent
 */
export function grainExtentAt(map: GrainMap, start: number, limit: number): MaybePromise<Extent> {
  const index = Math.floor(start / map.tableCoverage);
  const tableOffset = validTableOffset(map, index);
  if (tableOffset < 0) return extentOf(map, tableOffset, start, equalEntriesEnd(map, index, tableOffset, limit));
  return andThen(map.tables.get(index, tableOffset), (tables) => extentInTables(map, tables, start, limit));
}

/** Returns the extent at `start` from `tables`, the first of which covers it. */
function extentInTables(map: GrainMap, tables: AdjacentTables, start: number, limit: number): Extent {
  const { view } = tables;
  const tableStart = start - start % map.tableCoverage;
  const nth = Math.floor((start - tableStart) / map.grainBytes);
  const first = validGrainOffset(map, view, nth, start);
  const begin = tableStart + nth * map.grainBytes;
  // Adjacent tables are one array of entries.
  const entries = Math.min(
    Math.ceil((limit - begin) / map.grainBytes),
    tables.count * map.tableCoverage / map.grainBytes - nth,
  );
  let count = 1;
  if (first === HOLE) count = countHoles(map, tables, nth, entries);
  else {
    const step = first >= 0 && !map.compressed ? map.grainBytes : 0;
    // Compressed grains form one extent wherever they lie; uncompressed ones as long as they are contiguous.
    const same = first >= 0 && map.compressed
      ? (grain: number) => grain >= 0
      : (grain: number) => grain === first + count * step;
    while (count < entries && same(map.grainAt(view, nth + count))) count++;
  }
  const end = Math.min(limit, begin + count * map.grainBytes);
  if (first < 0 || map.compressed) return extentOf(map, first, start, end);
  return dataExtent(start, end, { storage: map.storage, offset: first + start - begin });
}

/** Counts the holes among at most `most` entries from `nth` on. A hole is an entry of zero bytes in all table types. */
function countHoles(map: GrainMap, { view, count }: AdjacentTables, nth: number, most: number): number {
  // Between small extents, most holes are a few grains long.
  let few = 1;
  while (few < Math.min(most, FEW_GRAINS) && map.grainAt(view, nth + few) === HOLE) few++;
  if (few < FEW_GRAINS || few === most) return few;
  const entryBytes = view.byteLength / count / (map.tableCoverage / map.grainBytes);
  const bytes = new Uint8Array(view.buffer, view.byteOffset + nth * entryBytes, most * entryBytes);
  let at = 0;
  // Compares large steps first, since most holes are large.
  for (const step of [8192, 512]) {
    while (at + step <= bytes.length && equalBytes(bytes.subarray(at, at + step), zeroes(step))) at += step;
  }
  let entry = at / entryBytes;
  while (entry < most && map.grainAt(view, nth + entry) === HOLE) entry++;
  return entry;
}

/** Returns the file offsets of the grains that cover `[start, end)`, a range of data, one for each grain. */
export async function grainOffsets(map: GrainMap, start: number, end: number): Promise<number[]> {
  const grains: number[] = [];
  let index = -1;
  let table: DataView | null = null;
  for (let at = alignDown(start, map.grainBytes); at < end; at += map.grainBytes) {
    if (Math.floor(at / map.tableCoverage) !== index) {
      index = Math.floor(at / map.tableCoverage);
      const tableOffset = validTableOffset(map, index);
      table = tableOffset < 0 ? null : (await map.tables.get(index, tableOffset)).view;
    }
    const nth = Math.floor((at - index * map.tableCoverage) / map.grainBytes);
    const grain = table === null ? HOLE : validGrainOffset(map, table, nth, at);
    if (grain < 0) throw corrupt(`Cannot read guest byte ${at} of "${map.label}": its grain is not there`, map.label);
    grains.push(grain);
  }
  return grains;
}

function validTableOffset(map: GrainMap, index: number): number {
  const tableOffset = map.tableAt(index);
  if (tableOffset !== BAD) return tableOffset;
  const message =
    `Cannot read grain table ${index} of "${map.label}": the grain directory points past the end of the ` +
    `file, or at what can be no table`;
  throw corrupt(message, map.label);
}

function validGrainOffset(map: GrainMap, table: DataView, nth: number, guest: number): number {
  const grain = map.grainAt(table, nth);
  if (grain !== BAD) return grain;
  const message =
    `Cannot read guest byte ${guest} of "${map.label}": its grain table entry points past the end of the ` +
    `file, or at what can be no grain`;
  throw corrupt(message, map.label);
}

/** Returns the guest byte at which directory entries stop having the same value. Reads nothing. */
function equalEntriesEnd(map: GrainMap, index: number, tableOffset: number, limit: number): number {
  let next = index + 1;
  while (next * map.tableCoverage < limit && map.tableAt(next) === tableOffset) next++;
  return Math.min(limit, next * map.tableCoverage);
}

function extentOf(map: GrainMap, grain: number, start: number, end: number): Extent {
  if (grain >= 0) return map.compressed ? compressedExtent(start, end) : dataExtent(start, end);
  return grain === ZERO ? zeroExtent(start, end) : holeExtent(start, end);
}
