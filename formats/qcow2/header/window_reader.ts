/**
 * Reading of small structures that follow one another, through one buffer.
 *
 * @module
 */
import type { Storage } from "../../storage/types.ts";

const WINDOW_BYTES = 64 << 10;

/** Gives `length` bytes at `fileOffset`, valid until the next call; both must be checked against the file by the caller. */
export type WindowReader = (fileOffset: number, length: number) => Promise<Uint8Array>;

/** A reader of `storage` that asks for 64 KiB at once, so that small structures do not cost a request each. */
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
