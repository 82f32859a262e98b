/**
 * Reading what can be read: parts that fail become zeroes and are told.
 *
 * @module
 */
import { alignDown, dataRun, type GuestReader, ImageError } from "../formats/mod.ts";

/** Nothing smaller than this is given up alone, in bytes. */
const SECTOR = 512;

/** Where even the status cannot be found out, this much at a time is taken for data. */
const BLIND = 64 << 10;

/**
 * `reader`, except that what cannot be read is zero. `onBad` hears of every part that became zeroes, in guest bytes.
 *
 * @example
 * ```ts
 * import { salvaging } from "./salvage.ts";
 * import { ImageError } from "../formats/mod.ts";
 * import assert from "node:assert/strict";
 *
 * const broken = {
 *   size: 512,
 *   runAt: () => Promise.reject(new ImageError("io", "Cannot read")),
 *   read: () => Promise.reject(new ImageError("io", "Cannot read")),
 * };
 * const bad: number[] = [];
 * const bytes = new Uint8Array(512).fill(1);
 * await salvaging(broken, (start, end) => bad.push(start, end)).read(bytes, 0);
 * assert.deepEqual(bad, [0, 512]);
 * assert.equal(bytes[0], 0);
 * ```
 */
export function salvaging(
  reader: GuestReader,
  onBad: (start: number, end: number, message: string) => void,
): GuestReader {
  const read = async (into: Uint8Array, start: number): Promise<void> => {
    try {
      await reader.read(into, start);
    } catch (error) {
      if (!isBad(error)) throw error;
      if (into.length <= SECTOR) {
        into.fill(0);
        onBad(start, start + into.length, error.message);
        return;
      }
      const middle = Math.max(alignDown(start + (into.length >> 1), SECTOR) - start, 0) || SECTOR;
      await read(into.subarray(0, middle), start);
      await read(into.subarray(middle), start + middle);
    }
  };
  return {
    ...reader,
    async runAt(start, limit) {
      try {
        return await reader.runAt(start, limit);
      } catch (error) {
        if (!isBad(error)) throw error;
        return dataRun(start, Math.min(limit, alignDown(start, BLIND) + BLIND));
      }
    },
    read,
  };
}

function isBad(error: unknown): error is ImageError {
  return error instanceof ImageError && error.kind !== "cancelled";
}
