/**
 * From guest bytes to grains, for every kind of sparse extent: a grain directory in memory, grain tables in a cache.
 * Guest positions count from the start of the extent.
 *
 * @module
 */
import { alignDown, equalBytes, zeroes } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { compressedExtent, dataExtent, type Extent, holeExtent, zeroExtent } from "../extent.ts";
import type { TableReader, Tables } from "./grain_table_reader.ts";

/** In place of a file offset: nothing is stated, the backing file shows. */
export const HOLE = -1;
/** In place of a file offset: stated zeroes. */
export const ZERO = -2;
/** In place of a file offset: an entry that cannot be. */
export const BAD = -3;

/** The most entries of a grain directory: 128 TiB with grains of 64 KiB and tables of 512 entries. */
export const MAX_DIRECTORY_ENTRIES = 1 << 22;

/** The mapping of one sparse extent. */
export interface GrainMap {
  /** The file that holds tables and grains. */
  readonly storage: Storage;
  /** What messages call the file. */
  readonly label: string;
  /** Guest bytes. */
  readonly size: number;
  readonly grainBytes: number;
  /** Guest bytes that one grain table covers. */
  readonly tableReach: number;
  /** Whether grains are compressed. */
  readonly compressed: boolean;
  /** File offset of the grain table of a directory entry, or {@linkcode HOLE}, {@linkcode ZERO}, {@linkcode BAD}. */
  tableAt(index: number): number;
  /** File offset of the grain of a table entry, or {@linkcode HOLE}, {@linkcode ZERO}, {@linkcode BAD}. */
  grainAt(table: DataView, index: number): number;
  readonly tables: TableReader;
}

/**
 * The run at `start`, as far as its grain table and those beside it tell, and at most to `limit`.
 *
 * @throws ImageError `corrupt` for an entry at `start` that cannot be; bad entries further on only end the run
 */
export function grainExtentAt(map: GrainMap, start: number, limit: number): MaybePromise<Extent> {
  const index = Math.floor(start / map.tableReach);
  const place = goodTable(map, index);
  if (place < 0) return extentOf(map, place, start, emptyEnd(map, index, place, limit));
  return andThen(map.tables.get(index, place), (tables) => extentIn(map, tables, start, limit));
}

/** The run at `start`, as far as `tables` tell, the first of which covers it. */
function extentIn(map: GrainMap, tables: Tables, start: number, limit: number): Extent {
  const { view } = tables;
  const tableStart = start - start % map.tableReach;
  const nth = Math.floor((start - tableStart) / map.grainBytes);
  const first = goodGrain(map, view, nth, start);
  const begin = tableStart + nth * map.grainBytes;
  // Entries of tables that lie side by side are one row.
  const entries = Math.min(
    Math.ceil((limit - begin) / map.grainBytes),
    tables.count * map.tableReach / map.grainBytes - nth,
  );
  let count = 1;
  if (first === HOLE) count = emptyEntries(map, tables, nth, entries);
  else {
    const step = first >= 0 && !map.compressed ? map.grainBytes : 0;
    // Compressed grains are one run wherever they lie, plain ones as far as they follow each other.
    const same = first >= 0 && map.compressed
      ? (grain: number) => grain >= 0
      : (grain: number) => grain === first + count * step;
    while (count < entries && same(map.grainAt(view, nth + count))) count++;
  }
  const end = Math.min(limit, begin + count * map.grainBytes);
  if (first < 0 || map.compressed) return extentOf(map, first, start, end);
  return dataExtent(start, end, { storage: map.storage, offset: first + start - begin });
}

/** How many of at most `most` entries from `nth` on are holes, which are zero bytes in every kind of table. */
function emptyEntries(map: GrainMap, { view, count }: Tables, nth: number, most: number): number {
  const entryBytes = view.byteLength / count / (map.tableReach / map.grainBytes);
  const bytes = new Uint8Array(view.buffer, view.byteOffset + nth * entryBytes, most * entryBytes);
  let at = 0;
  // Large steps first: most holes reach far.
  for (const step of [8192, 512]) {
    while (at + step <= bytes.length && equalBytes(bytes.subarray(at, at + step), zeroes(step))) at += step;
  }
  let entry = at / entryBytes;
  while (entry < most && map.grainAt(view, nth + entry) === HOLE) entry++;
  return entry;
}

/** File offsets of the grains that hold `[start, end)`, which is data: one for each grain that is touched. */
export async function grainsOf(map: GrainMap, start: number, end: number): Promise<number[]> {
  const grains: number[] = [];
  let index = -1;
  let table: DataView | null = null;
  for (let at = alignDown(start, map.grainBytes); at < end; at += map.grainBytes) {
    if (Math.floor(at / map.tableReach) !== index) {
      index = Math.floor(at / map.tableReach);
      const place = goodTable(map, index);
      table = place < 0 ? null : (await map.tables.get(index, place)).view;
    }
    const nth = Math.floor((at - index * map.tableReach) / map.grainBytes);
    const grain = table === null ? HOLE : goodGrain(map, table, nth, at);
    if (grain < 0) throw corrupt(`Cannot read guest byte ${at} of "${map.label}": its grain is not there`, map.label);
    grains.push(grain);
  }
  return grains;
}

function goodTable(map: GrainMap, index: number): number {
  const place = map.tableAt(index);
  if (place !== BAD) return place;
  const message =
    `Cannot read grain table ${index} of "${map.label}": the grain directory points past the end of the ` +
    `file, or at what can be no table`;
  throw corrupt(message, map.label);
}

function goodGrain(map: GrainMap, table: DataView, nth: number, guest: number): number {
  const grain = map.grainAt(table, nth);
  if (grain !== BAD) return grain;
  const message =
    `Cannot read guest byte ${guest} of "${map.label}": its grain table entry points past the end of the ` +
    `file, or at what can be no grain`;
  throw corrupt(message, map.label);
}

/** Where the directory entries that are like this one end; the directory is in memory, so this costs no look-up. */
function emptyEnd(map: GrainMap, index: number, place: number, limit: number): number {
  let next = index + 1;
  while (next * map.tableReach < limit && map.tableAt(next) === place) next++;
  return Math.min(limit, next * map.tableReach);
}

function extentOf(map: GrainMap, grain: number, start: number, end: number): Extent {
  if (grain >= 0) return map.compressed ? compressedExtent(start, end) : dataExtent(start, end);
  return grain === ZERO ? zeroExtent(start, end) : holeExtent(start, end);
}
