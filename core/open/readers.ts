/**
 * Readers made from readers: several end to end, a slice of one, one with zeroes at its end. Each changes some members of
 * the reader that it is made from and forwards the others ({@linkcode forward}), so that none is lost.
 *
 * @module
 */
import { andThen, type GuestReader, shiftExtent, zeroExtent } from "../../formats/mod.ts";

/**
 * Returns a reader that does what `reader` does, but for the members in `changes`.
 *
 * @example
 * ```ts
 * import { forward, pad } from "./readers.ts";
 * import { chainOf } from "./chain.ts";
 * import assert from "node:assert/strict";
 *
 * const zeroes = pad(chainOf([]), 512);
 * const shorter = forward(zeroes, { size: 100 });
 * assert.deepEqual([shorter.size, shorter.clusterSize], [100, 1]);
 * ```
 */
export function forward(reader: GuestReader, changes: Partial<GuestReader>): GuestReader {
  return {
    size: reader.size,
    clusterSize: reader.clusterSize,
    extentAt: (start, limit) => reader.extentAt(start, limit),
    read: (into, start) => reader.read(into, start),
    readCompressed: async (room, start, end) => await reader.readCompressed?.(room, start, end) ?? null,
    ...changes,
  };
}

/** Returns several readers end to end as one, in the order of `parts`. */
export function concatenate(parts: readonly GuestReader[]): GuestReader {
  if (parts.length === 1) return parts[0];
  const starts = [0];
  for (const { size } of parts) starts.push(starts[starts.length - 1] + size);
  const size = starts[parts.length];
  const partAt = (at: number) => starts.findLastIndex((start, index) => start <= at && index < parts.length);
  return {
    size,
    clusterSize: Math.max(1, ...parts.map((part) => part.clusterSize)),
    extentAt(start, limit) {
      const index = partAt(start);
      const from = starts[index];
      const extent = parts[index].extentAt(start - from, Math.min(limit, starts[index + 1]) - from);
      return andThen(extent, (extent) => shiftExtent(extent, from));
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

/** Returns guest bytes `[from, end)` of `reader` as a disk of their own. */
export function slice(reader: GuestReader, from: number, end: number): GuestReader {
  return forward(reader, {
    size: end - from,
    extentAt: (start, limit) =>
      andThen(reader.extentAt(start + from, limit + from), (extent) => shiftExtent(extent, -from)),
    readCompressed: async (room, start, partEnd) =>
      await reader.readCompressed?.(room, start + from, partEnd + from) ?? null,
    read(into, start) {
      const inside = Math.max(0, Math.min(into.length, end - from - start));
      into.fill(0, inside);
      return inside > 0 ? reader.read(into.subarray(0, inside), start + from) : Promise.resolve();
    },
  });
}

/** Returns `reader` with zeroes at its end, `size` guest bytes long; `reader` itself where it is as long already. */
export function pad(reader: GuestReader, size: number): GuestReader {
  if (size <= reader.size) return reader;
  return forward(reader, {
    size,
    extentAt(start, limit) {
      return start < reader.size ? reader.extentAt(start, Math.min(limit, reader.size)) : zeroExtent(start, limit);
    },
    readCompressed: async (room, start, end) =>
      end <= reader.size ? await reader.readCompressed?.(room, start, end) ?? null : null,
    async read(into, start) {
      const inside = Math.max(0, Math.min(into.length, reader.size - start));
      if (inside > 0) await reader.read(into.subarray(0, inside), start);
      into.fill(0, inside);
    },
  });
}
