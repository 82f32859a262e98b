/**
 * Writing into a sparse extent whose grains lie in the file as they are. Guest positions count from the start of the
 * extent.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import type { FixedLocation } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { FLAG, type SparseHeader } from "./header.ts";
import { allocateAt, type FileEnd, type Tables } from "./grain_tables.ts";

/** An extent being written; its calls come one after another. */
export interface ExtentWriter {
  write(from: Uint8Array, start: number): Promise<void>;
  zero(start: number, end: number): Promise<void>;
  /** Where the extent begins in its file, if its guest bytes lie one after another. */
  readonly flat?: Pick<FixedLocation, "storage" | "offset">;
  /** Writes tables that have changed. */
  finish(): Promise<void>;
}

/** What {@linkcode grainWriter} needs. */
export interface GrainSetup {
  readonly storage: WritableStorage;
  readonly header: SparseHeader;
  readonly tables: Tables;
  /** Where the next grain goes. */
  readonly end: FileEnd;
  /** From this file offset on, what was never written reads as zeroes; `Infinity`: nowhere. */
  readonly zeroedFrom: number;
  /** What shows through holes; null where that is nothing. Positions count from the start of the extent. */
  readonly backing: GuestReader | null;
}

/** Guest bytes that go to one place of the file. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly fileOffset: number;
  /** Where the rest of the grain must be written too: what it is to be. */
  readonly rest: "kept" | "zero" | "backing";
}

/** Changes grains; the caller writes tables, directories and header. */
export function grainWriter(setup: GrainSetup): Omit<ExtentWriter, "finish"> {
  const { storage, header, tables, end, zeroedFrom, backing } = setup;
  const { grainBytes } = header;
  const reach = grainBytes * header.entriesPerTable;
  const zeroEntries = (header.flags & FLAG.zeroed) !== 0;

  /** Whether a hole there reads as zeroes anyway. */
  const hasNoBacking = (start: number) => backing === null || start >= backing.size;

  /** File offset of the grain that an entry points at; 0 where it points at none. */
  function offsetOf(entry: number, guest: number): number {
    if (entry === 0 || (entry === 1 && zeroEntries)) return 0;
    const place = entry * SECTOR;
    if (place < end.next) return place;
    const message = `Cannot write guest byte ${guest} of "${storage.label}": its grain lies past the end of the file`;
    throw corrupt(message, storage.label);
  }

  /** Finds or makes a place for every grain of `[start, stop)`, which lies in one table. */
  function placeAll(view: DataView, index: number, start: number, stop: number): Segment[] {
    const segments: Segment[] = [];
    for (let at = start; at < stop;) {
      const grainStart = at - at % grainBytes;
      const grainEnd = Math.min(grainStart + grainBytes, header.capacity);
      const to = Math.min(stop, grainEnd);
      const entryAt = (grainStart - index * reach) / grainBytes * 4;
      const entry = view.getUint32(entryAt, true);
      let grain = offsetOf(entry, at);
      let rest: Segment["rest"] = "kept";
      if (grain === 0) {
        grain = allocateAt(storage, end, grainBytes, grainBytes);
        view.setUint32(entryAt, grain / SECTOR, true);
        tables.changed(index);
        if (at > grainStart || to < grainEnd) {
          rest = entry === 0 && !hasNoBacking(grainStart) ? "backing" : grain < zeroedFrom ? "zero" : "kept";
        }
      }
      segments.push({ start: at, end: to, fileOffset: grain + at - grainStart, rest });
      at = to;
    }
    return segments;
  }

  /** Writes segments, neighbours in the file with one request. */
  async function store(segments: readonly Segment[], from: Uint8Array, start: number): Promise<void> {
    for (let first = 0; first < segments.length;) {
      const one = segments[first++];
      const bytes = (stop: number) => from.subarray(one.start - start, stop - start);
      if (one.rest !== "kept") {
        await storeWhole(one, bytes(one.end));
        continue;
      }
      let last = one;
      while (first < segments.length && segments[first].rest === "kept") {
        if (segments[first].fileOffset !== last.fileOffset + last.end - last.start) break;
        last = segments[first++];
      }
      await storage.writeAt(bytes(last.end), one.fileOffset);
    }
  }

  /** Writes a part of a new grain, and the rest of it as it reads so far. */
  async function storeWhole(segment: Segment, part: Uint8Array): Promise<void> {
    const skip = segment.start % grainBytes;
    const grain = new Uint8Array(grainBytes);
    if (segment.rest === "backing") await backing!.read(grain, segment.start - skip);
    grain.set(part, skip);
    await storage.writeAt(grain, segment.fileOffset - skip);
  }

  async function zeroInTable(index: number, start: number, stop: number): Promise<void> {
    for (let at = start; at < stop;) {
      const table = await tables.forChange(index);
      at = alreadyZero(viewOf(table), index, at, stop);
      if (at >= stop) return;
      const grainStart = at - at % grainBytes;
      const to = Math.min(stop, grainStart + grainBytes);
      await zeroInGrain(viewOf(table), index, grainStart, at, to);
      at = to;
    }
  }

  /** Where the grains from `at` on end that read as zeroes without a change. */
  function alreadyZero(view: DataView, index: number, at: number, stop: number): number {
    while (at < stop) {
      const grainStart = at - at % grainBytes;
      const entry = view.getUint32((grainStart - index * reach) / grainBytes * 4, true);
      const isZero = entry === 0 ? hasNoBacking(grainStart) : entry === 1 && zeroEntries;
      if (!isZero) return at;
      at = grainStart + grainBytes;
    }
    return stop;
  }

  async function zeroInGrain(view: DataView, index: number, grainStart: number, from: number, to: number) {
    const entryAt = (grainStart - index * reach) / grainBytes * 4;
    const place = offsetOf(view.getUint32(entryAt, true), from);
    const isWhole = from === grainStart && (to === grainStart + grainBytes || to === header.capacity);
    if (isWhole && (zeroEntries || hasNoBacking(grainStart))) {
      view.setUint32(entryAt, hasNoBacking(grainStart) ? 0 : 1, true);
      tables.changed(index);
      // Nothing points at the grain any more: give its space back where that costs nothing.
      if (place !== 0 && storage.zeroesCheaply) await storage.zeroAt(place, place + grainBytes);
      return;
    }
    if (place !== 0) return await storage.zeroAt(place + from - grainStart, place + to - grainStart);
    for (const segment of placeAll(view, index, from, to)) await storeZeroes(segment);
  }

  /** Zeroes in a new grain: it has them from the start, unless the rest of it must be written. */
  async function storeZeroes(segment: Segment): Promise<void> {
    const zeroes = new Uint8Array(segment.end - segment.start);
    if (segment.rest !== "kept") await storeWhole(segment, zeroes);
    else if (segment.fileOffset < zeroedFrom) await storage.writeAt(zeroes, segment.fileOffset);
  }

  return {
    async write(from, start) {
      const stop = start + from.length;
      for (let at = start; at < stop;) {
        const index = Math.floor(at / reach);
        const tableEnd = Math.min(stop, (index + 1) * reach);
        const segments = placeAll(viewOf(await tables.forChange(index)), index, at, tableEnd);
        await store(segments, from.subarray(at - start, tableEnd - start), at);
        at = tableEnd;
      }
    },
    async zero(start, stop) {
      for (let at = start; at < stop;) {
        const index = Math.floor(at / reach);
        const tableEnd = Math.min(stop, (index + 1) * reach);
        const isEmpty = hasNoBacking(at) && await tables.find(index) === null;
        if (!isEmpty) await zeroInTable(index, at, tableEnd);
        at = tableEnd;
      }
    },
  };
}
