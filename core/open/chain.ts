/**
 * Layers as one disk, and several disks end to end as one. Here, and nowhere else, a backing chain is resolved.
 *
 * @module
 */
import {
  alignDown,
  andThen,
  clipExtent,
  type Disk,
  type Extent,
  type GuestReader,
  holeExtent,
  type MaybePromise,
  zeroExtent,
} from "../../formats/mod.ts";

/**
 * A disk and those beneath it, top first, as one reader.
 *
 * `kept` layers count: where all of them are silent, the run is a hole (what is beneath is left alone). With all layers
 * kept there are no holes: what nobody states is zero. Reading goes through every layer in any case. A layer that is
 * shorter than the one above it reads as zero past its end.
 *
 * @example
 * ```ts
 * import { chainOf } from "./chain.ts";
 * import assert from "node:assert/strict";
 *
 * const empty = chainOf([]);
 * assert.equal(empty.size, 0);
 * ```
 */
export function chainOf(layers: readonly Disk[], kept: number = layers.length): GuestReader {
  return {
    size: layers[0]?.size ?? 0,
    clusterSize: Math.max(1, ...layers.map((layer) => layer.clusterSize)),
    extentAt: (start, limit) => andThen(resolve(layers, kept, start, limit), ({ run }) => run),
    async placeOf(start, limit) {
      let { run, disk } = await resolve(layers, layers.length, start, limit);
      if (run.kind !== "data" || run.compressed || !disk?.data) return null;
      // A run of several places tells none; a single clusterSize has one.
      if (run.fileStart === undefined) {
        ({ run, disk } = await resolve(
          layers,
          layers.length,
          start,
          Math.min(limit, nextUnit(start, disk.clusterSize)),
        ));
      }
      if (run.kind !== "data" || run.fileStart === undefined || !disk?.data) return null;
      // Of a file that was cut off inside its last clusterSize, only the disk itself knows how the rest reads.
      const end = Math.min(run.end, run.start + (disk.data.size - run.fileStart));
      return end > start ? { storage: disk.data, fileStart: run.fileStart, end } : null;
    },
    async readCompressed(room, start, end) {
      const { run, disk } = await resolve(layers, layers.length, start, end);
      if (run.kind !== "data" || !run.compressed || run.end < end) return null;
      return await disk?.readCompressed?.(room, start, end) ?? null;
    },
    async read(into, start) {
      const end = start + into.length;
      for (let at = start; at < end;) {
        const { run, disk } = await resolve(layers, layers.length, at, end);
        const part = into.subarray(at - start, run.end - start);
        if (disk) await disk.read(part, at);
        else part.fill(0);
        at = run.end;
      }
    },
  };
}

/** Where the clusterSize that holds `at` ends. */
function nextUnit(at: number, unit: number): number {
  return alignDown(at, unit) + unit;
}

/** What a chain says of a position. */
export interface Resolved {
  readonly run: Extent;
  /** Which layer says so, 0 the top; where nobody says anything, the last that was asked. */
  readonly depth: number;
  /** Whether that layer states it; if not, the run is zero because nothing is beneath. */
  readonly stated: boolean;
  /** The layer, where it has data. */
  readonly disk?: Disk;
}

/** The first of `layers` that has something to say at `start`; `kept` as in {@linkcode chainOf}. */
export function resolve(
  layers: readonly Disk[],
  kept: number,
  start: number,
  limit: number,
): MaybePromise<Resolved> {
  return resolveFrom({ layers, kept, start }, 0, limit, undefined);
}

/** What is asked of the layers, one after another. */
interface Question {
  readonly layers: readonly Disk[];
  readonly kept: number;
  readonly start: number;
}

/** Layers above `depth` are silent to `end`; `place` is where the last of them keeps a place for what is there. */
function resolveFrom(asked: Question, depth: number, end: number, place: number | undefined): MaybePromise<Resolved> {
  const { layers, kept, start } = asked;
  if (depth < layers.length && depth === kept) return { run: holeExtent(start, end), depth, stated: false };
  const disk = layers[depth];
  if (depth === layers.length || start >= disk.size) {
    return { run: zeroExtent(start, end, place), depth: Math.max(0, depth - 1), stated: false };
  }
  return andThen(disk.extentAt(start, Math.min(end, disk.size)), (run) => {
    if (run.kind === "hole") return resolveFrom(asked, depth + 1, run.end, run.fileStart);
    return run.kind === "data" ? { run, depth, stated: true, disk } : { run, depth, stated: true };
  });
}

/** Several readers end to end, as `cat` would do it. */
export function concatenate(parts: readonly GuestReader[]): GuestReader {
  if (parts.length === 1) return parts[0];
  const starts = startsOf(parts);
  const size = starts[parts.length];
  const partAt = (at: number) => starts.findLastIndex((start, index) => start <= at && index < parts.length);
  return {
    size,
    clusterSize: Math.max(1, ...parts.map((part) => part.clusterSize ?? 1)),
    extentAt(start, limit) {
      const index = partAt(start);
      const from = starts[index];
      const run = parts[index].extentAt(start - from, Math.min(limit, starts[index + 1]) - from);
      return andThen(run, (run) => ({ ...run, start, end: run.end + from }));
    },
    async placeOf(start, limit) {
      const index = partAt(start);
      const from = starts[index];
      const place = await parts[index].placeOf?.(start - from, Math.min(limit, starts[index + 1]) - from);
      return place ? { ...place, end: place.end + from } : null;
    },
    async readCompressed(room, start, end) {
      const index = partAt(start);
      if (end > starts[index + 1]) return null;
      return await parts[index].readCompressed?.(room, start - starts[index], end - starts[index]) ?? null;
    },
    async read(into, start) {
      const end = Math.min(start + into.length, size);
      for (let at = start; at < end;) {
        const index = partAt(at);
        const partEnd = Math.min(end, starts[index + 1]);
        await parts[index].read(into.subarray(at - start, partEnd - start), at - starts[index]);
        at = partEnd;
      }
      into.fill(0, Math.max(0, end - start));
    },
  };
}

function startsOf(parts: readonly GuestReader[]): number[] {
  const starts = [0];
  for (const part of parts) starts.push(starts[starts.length - 1] + part.size);
  return starts;
}

/** Guest bytes `[from, end)` of `reader`, as a disk of their own. */
export function sliced(reader: GuestReader, from: number, end: number): GuestReader {
  return {
    ...(reader.clusterSize !== undefined && { clusterSize: reader.clusterSize }),
    size: end - from,
    extentAt: (start, limit) =>
      andThen(reader.extentAt(start + from, limit + from), (run) => ({ ...run, start, end: run.end - from })),
    async placeOf(start, limit) {
      const place = await reader.placeOf?.(start + from, limit + from);
      return place ? { ...place, end: place.end - from } : null;
    },
    async readCompressed(room, start, end) {
      return await reader.readCompressed?.(room, start + from, end + from) ?? null;
    },
    read(into, start) {
      const inside = Math.max(0, Math.min(into.length, end - from - start));
      into.fill(0, inside);
      return inside > 0 ? reader.read(into.subarray(0, inside), start + from) : Promise.resolve();
    },
  };
}

/** `reader`, lengthened to `size` guest bytes; what is new is zero. */
export function padded(reader: GuestReader, size: number): GuestReader {
  if (size <= reader.size) return reader;
  return {
    ...(reader.clusterSize !== undefined && { clusterSize: reader.clusterSize }),
    size,
    async placeOf(start, limit) {
      return start < reader.size ? await reader.placeOf?.(start, Math.min(limit, reader.size)) ?? null : null;
    },
    async readCompressed(room, start, end) {
      return end <= reader.size ? await reader.readCompressed?.(room, start, end) ?? null : null;
    },
    extentAt(start, limit) {
      if (start >= reader.size) return zeroExtent(start, limit);
      return andThen(reader.extentAt(start, Math.min(limit, reader.size)), (run) => clipExtent(run, start, limit));
    },
    async read(into, start) {
      const inside = Math.max(0, Math.min(into.length, reader.size - start));
      if (inside > 0) await reader.read(into.subarray(0, inside), start);
      into.fill(0, inside);
    },
  };
}
