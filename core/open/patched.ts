/**
 * A reader with some of its bytes replaced, so that a copy changes them in its one pass.
 *
 * @module
 */
import { dataExtent, type GuestReader } from "../../formats/mod.ts";
import { forward } from "./readers.ts";

/** Bytes that replace those of the reader from guest byte `start` on. */
export interface Patch {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * Returns `reader` with `patches` applied. Patches lie within the reader; where two overlap, the later one counts.
 *
 * @example
 * ```ts
 * import { patched } from "./patched.ts";
 * import { chainOf } from "./chain.ts";
 * import { pad } from "./readers.ts";
 * import assert from "node:assert/strict";
 *
 * const reader = patched(pad(chainOf([]), 8), [{ start: 2, bytes: new Uint8Array([7, 8]) }]);
 * const bytes = new Uint8Array(4);
 * await reader.read(bytes, 1);
 * assert.deepEqual([...bytes], [0, 7, 8, 0]);
 * ```
 */
export function patched(reader: GuestReader, patches: readonly Patch[]): GuestReader {
  if (patches.length === 0) return reader;
  const isPatched = (start: number, end: number) => patches.some((patch) => patch.start < end && start < endOf(patch));
  return forward(reader, {
    extentAt(start, limit) {
      const inside = patches.find((patch) => patch.start <= start && start < endOf(patch));
      if (inside) return dataExtent(start, Math.min(limit, endOf(inside)));
      const next = patches.reduce((least, patch) => patch.start > start ? Math.min(least, patch.start) : least, limit);
      return reader.extentAt(start, next);
    },
    readCompressed: async (room, start, end) =>
      isPatched(start, end) ? null : await reader.readCompressed?.(room, start, end) ?? null,
    async read(into, start) {
      await reader.read(into, start);
      for (const patch of patches) {
        const from = Math.max(start, patch.start);
        const end = Math.min(start + into.length, endOf(patch));
        if (from < end) into.set(patch.bytes.subarray(from - patch.start, end - patch.start), from - start);
      }
    },
  });
}

function endOf(patch: Patch): number {
  return patch.start + patch.bytes.length;
}
