/**
 * A stream-optimized extent file that is cut off. Its grain directory and tables were behind the data, so the grains are
 * found by their markers. Guest bytes count from the start of the extent file.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import { dataExtent, type Extent } from "../extent.ts";
import type { MaybePromise } from "../maybe_promise.ts";
import type { Storage } from "../storage/types.ts";
import { grainExtentAt, type GrainMap, HOLE } from "./grain_directory.ts";
import { GRAIN_MARKER_BYTES, type GrainReader } from "./grain_reader.ts";
import type { SparseHeader } from "./header.ts";
import { corrupt } from "../errors.ts";

/** Bytes that one request reads of markers that lie close together. */
const WINDOW_BYTES = 64 << 10;

/** The grains that a cut stream holds. */
export interface TruncatedStream {
  readonly map: GrainMap;
  /** Guest byte after the last grain: the data that follows is missing, or was never there. */
  readonly missingFrom: number;
}

/** Finds the whole grains of a stream by their markers, up to the end of the file or to what is no marker. */
export async function readTruncatedStream(storage: Storage, header: SparseHeader): Promise<TruncatedStream> {
  const { grainBytes, entriesPerTable, capacity } = header;
  const tables = new Map<number, DataView>();
  const markerAt = markerReader(storage);
  let missingFrom = 0;
  for (let at = alignUp(Math.max(header.overhead, SECTOR), SECTOR); at + SECTOR <= storage.size;) {
    const { value, length } = await markerAt(at);
    if (length === 0) {
      // Metadata: the marker is a sector, and `value` counts the sectors after it.
      at += SECTOR + value * SECTOR;
      continue;
    }
    const guest = value * SECTOR;
    const end = at + GRAIN_MARKER_BYTES + length;
    if (guest >= capacity || guest % grainBytes !== 0 || length > 2 * grainBytes + 1024 || end > storage.size) break;
    const grain = guest / grainBytes;
    const index = Math.floor(grain / entriesPerTable);
    let table = tables.get(index);
    if (table === undefined) tables.set(index, table = viewOf(new Uint8Array(entriesPerTable * 4)));
    table.setUint32(grain % entriesPerTable * 4, at / SECTOR, true);
    missingFrom = Math.max(missingFrom, Math.min(capacity, guest + grainBytes));
    at = alignUp(end, SECTOR);
  }
  const map: GrainMap = {
    storage,
    label: storage.label,
    size: capacity,
    grainBytes,
    tableCoverage: grainBytes * entriesPerTable,
    compressed: true,
    // The tables are in memory; any offset says that there is one.
    tableAt: (index) => tables.has(index) ? SECTOR : HOLE,
    grainAt(table, index) {
      const sector = table.getUint32(index * 4, true);
      return sector === 0 ? HOLE : sector * SECTOR;
    },
    tables: { get: (index) => ({ view: tables.get(index)!, count: 1 }) },
  };
  return { map, missingFrom };
}

/** Returns a function that reads the first 12 bytes of a marker. */
function markerReader(storage: Storage): (at: number) => Promise<{ value: number; length: number }> {
  let window: Uint8Array = new Uint8Array(0);
  let start = 0;
  return async (at) => {
    if (at < start || at + GRAIN_MARKER_BYTES > start + window.length) {
      window = new Uint8Array(Math.min(WINDOW_BYTES, storage.size - at));
      start = at;
      await storage.readAt(window, at);
    }
    const view = viewOf(window.subarray(at - start));
    // A value of 2^53 or more loses precision, but stays above every size.
    return { value: Number(view.getBigUint64(0, true)), length: view.getUint32(8, true) };
  };
}

/** Returns the methods for reading a cut stream: the data after its last grain is missing. */
export function truncatedReader(
  { map, missingFrom }: TruncatedStream,
  storage: Storage,
  grains: GrainReader,
): GrainReader & { extentAt(start: number, limit: number): MaybePromise<Extent> } {
  return {
    extentAt(start, limit) {
      if (start < missingFrom) return grainExtentAt(map, start, Math.min(limit, missingFrom));
      return dataExtent(start, limit, { storage, offset: storage.size + start - missingFrom });
    },
    async read(into, start) {
      const missing = Math.min(into.length, start + into.length - missingFrom);
      if (missing <= 0) return await grains.read(into, start);
      const message =
        `Cannot read guest byte ${Math.max(start, missingFrom)} of "${map.label}": its stream is cut off, ` +
        `the grains from guest byte ${missingFrom} on lie past the end of the file (${storage.size})`;
      throw corrupt(message, map.label, storage.size);
    },
    readCompressed: async (room, start, end) => await grains.readCompressed?.(room, start, end) ?? null,
  };
}
