/**
 * Reads of an image file that go past its end, and reads of many small structures that follow one another.
 *
 * @module
 */
import type { Storage } from "../storage/types.ts";

/** Fills `into` with the bytes of `storage` from `fileOffset` on, and with zeroes past its end. */
export async function readPadded(storage: Storage, into: Uint8Array, fileOffset: number): Promise<void> {
  const present = Math.max(0, Math.min(into.length, storage.size - fileOffset));
  if (present > 0) await storage.readAt(present === into.length ? into : into.subarray(0, present), fileOffset);
  if (present < into.length) into.fill(0, present);
}

const WINDOW_BYTES = 64 << 10;

/** Reads `length` bytes at `fileOffset`, valid until the next call. The caller has checked both against the file. */
export type WindowReader = (fileOffset: number, length: number) => Promise<Uint8Array>;

/** Returns a reader of `storage` that reads 64 KiB at once, so that small structures do not cost a request each. */
export function windowReader(storage: Storage): WindowReader {
  let window = new Uint8Array(0);
  let start = 0;
  return async (fileOffset, length) => {
    if (fileOffset < start || fileOffset + length > start + window.length) {
      window = new Uint8Array(Math.max(length, Math.min(WINDOW_BYTES, storage.size - fileOffset)));
      start = fileOffset;
      await storage.readAt(window, start);
    }
    return window.subarray(fileOffset - start, fileOffset - start + length);
  };
}
