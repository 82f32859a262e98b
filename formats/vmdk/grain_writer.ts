/**
 * Writes into a sparse extent file with uncompressed grains. Guest bytes count from the start of the extent file.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import type { FixedLocation } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { FLAG, type SparseHeader } from "./header.ts";
import { allocateAtEnd, type FileEnd, type GrainTables } from "./grain_tables.ts";

/** Writes into one extent file. Calls do not overlap. Guest bytes count from the start of the extent file. */
export interface ExtentFileWriter {
  write(from: Uint8Array, start: number): Promise<void>;
  zero(start: number, end: number): Promise<void>;
  /** Location of the first guest byte, if all guest bytes are contiguous in the file. */
  readonly flat?: Pick<FixedLocation, "storage" | "offset">;
  /** Writes changed metadata. */
  finish(): Promise<void>;
}

/** Parameters of {@linkcode grainWriter}. */
export interface GrainSetup {
  readonly storage: WritableStorage;
  readonly header: SparseHeader;
  readonly tables: GrainTables;
  /** The end of the allocated part of the file, where new grains go. */
  readonly end: FileEnd;
  /** From this file offset on, bytes that were never written read as zeroes; `Infinity`: nowhere. */
  readonly zeroedFrom: number;
  /** The backing file from the start of the extent file on; null if there is none. */
  readonly backing: GuestReader | null;
}

/** Guest bytes `[start, end)` of one grain, and the file offset that they map to. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly fileOffset: number;
  /** Content for the rest of the grain; `kept`: the rest is not written. */
  readonly rest: "kept" | "zero" | "backing";
}

/** Creates a writer of grains; the caller writes tables, directories and header. */
export function grainWriter(setup: GrainSetup): Omit<ExtentFileWriter, "finish"> {
  const { storage, header, tables, end, zeroedFrom, backing } = setup;
  const { grainBytes } = header;
  const coverage = grainBytes * header.entriesPerTable;
  const zeroEntries = (header.flags & FLAG.zeroed) !== 0;

  /** Returns whether a hole at `start` reads as zeroes. */
  const hasNoBacking = (start: number) => backing === null || start >= backing.size;

  /** Returns the file offset of the grain that an entry points at; 0 if it points at none. */
  function offsetOf(entry: number, guest: number): number {
    if (entry === 0 || (entry === 1 && zeroEntries)) return 0;
    const fileOffset = entry * SECTOR;
    if (fileOffset < end.next) return fileOffset;
    const message = `Cannot write guest byte ${guest} of "${storage.label}": its grain lies past the end of the file`;
    throw corrupt(message, storage.label);
  }

  /** Maps `[start, stop)`, which one table covers, to file offsets; allocates missing grains. */
  function mapSegments(view: DataView, index: number, start: number, stop: number): Segment[] {
    const segments: Segment[] = [];
    for (let at = start; at < stop;) {
      const grainStart = at - at % grainBytes;
      const grainEnd = Math.min(grainStart + grainBytes, header.capacity);
      const to = Math.min(stop, grainEnd);
      const entryAt = (grainStart - index * coverage) / grainBytes * 4;
      const entry = view.getUint32(entryAt, true);
      let grain = offsetOf(entry, at);
      let rest: Segment["rest"] = "kept";
      if (grain === 0) {
        grain = allocateAtEnd(storage, end, grainBytes, grainBytes);
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

  /** Writes segments; those that are contiguous in the file with one request. */
  async function store(segments: readonly Segment[], from: Uint8Array, start: number): Promise<void> {
    for (let first = 0; first < segments.length;) {
      const segment = segments[first++];
      const bytes = (stop: number) => from.subarray(segment.start - start, stop - start);
      if (segment.rest !== "kept") {
        await storeWhole(segment, bytes(segment.end));
        continue;
      }
      let last = segment;
      while (first < segments.length && segments[first].rest === "kept") {
        if (segments[first].fileOffset !== last.fileOffset + last.end - last.start) break;
        last = segments[first++];
      }
      await storage.writeAt(bytes(last.end), segment.fileOffset);
    }
  }

  /** Writes a whole new grain: `part`, and around it the content that the guest has read there before. */
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
      at = zeroGrainsEnd(viewOf(table), index, at, stop);
      if (at >= stop) return;
      const grainStart = at - at % grainBytes;
      const to = Math.min(stop, grainStart + grainBytes);
      await zeroInGrain(viewOf(table), index, grainStart, at, to);
      at = to;
    }
  }

  /** Returns the guest byte at which the grains from `at` on stop reading as zeroes without allocation. */
  function zeroGrainsEnd(view: DataView, index: number, at: number, stop: number): number {
    while (at < stop) {
      const grainStart = at - at % grainBytes;
      const entry = view.getUint32((grainStart - index * coverage) / grainBytes * 4, true);
      const isZero = entry === 0 ? hasNoBacking(grainStart) : entry === 1 && zeroEntries;
      if (!isZero) return at;
      at = grainStart + grainBytes;
    }
    return stop;
  }

  async function zeroInGrain(view: DataView, index: number, grainStart: number, from: number, to: number) {
    const entryAt = (grainStart - index * coverage) / grainBytes * 4;
    const fileOffset = offsetOf(view.getUint32(entryAt, true), from);
    const isWhole = from === grainStart && (to === grainStart + grainBytes || to === header.capacity);
    if (isWhole && (zeroEntries || hasNoBacking(grainStart))) {
      view.setUint32(entryAt, hasNoBacking(grainStart) ? 0 : 1, true);
      tables.changed(index);
      // No entry points at the grain any more: punch a hole if the storage can.
      if (fileOffset !== 0 && storage.zeroesCheaply) await storage.zeroAt(fileOffset, fileOffset + grainBytes);
      return;
    }
    if (fileOffset !== 0) return await storage.zeroAt(fileOffset + from - grainStart, fileOffset + to - grainStart);
    for (const segment of mapSegments(view, index, from, to)) await storeZeroes(segment);
  }

  /** Zeroes a segment of a new grain; writes nothing where the file reads as zeroes already. */
  async function storeZeroes(segment: Segment): Promise<void> {
    const zeroes = new Uint8Array(segment.end - segment.start);
    if (segment.rest !== "kept") await storeWhole(segment, zeroes);
    else if (segment.fileOffset < zeroedFrom) await storage.writeAt(zeroes, segment.fileOffset);
  }

  return {
    async write(from, start) {
      const stop = start + from.length;
      for (let at = start; at < stop;) {
        const index = Math.floor(at / coverage);
        const tableEnd = Math.min(stop, (index + 1) * coverage);
        const segments = mapSegments(viewOf(await tables.forChange(index)), index, at, tableEnd);
        await store(segments, from.subarray(at - start, tableEnd - start), at);
        at = tableEnd;
      }
    },
    async zero(start, stop) {
      for (let at = start; at < stop;) {
        const index = Math.floor(at / coverage);
        const tableEnd = Math.min(stop, (index + 1) * coverage);
        const isEmpty = hasNoBacking(at) && await tables.find(index) === null;
        if (!isEmpty) await zeroInTable(index, at, tableEnd);
        at = tableEnd;
      }
    },
  };
}
