/**
 * Writing into the file of a new image: with holes where nothing was written, or without any.
 *
 * @module
 */
import { zeroes } from "../bytes.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";

/** Writes file bytes. All offsets are file bytes. */
export interface FileWriter {
  write(from: Uint8Array, fileOffset: number): Promise<void>;
  /** Makes `[start, end)` zero, in whichever way the file may have zeroes. */
  zero(start: number, end: number): Promise<void>;
  /** Ends the file at `size`; what was not written reads as zeroes. */
  finish(size: number): Promise<void>;
}

/** Leaves out what is never written: the storage reads as zeroes there. */
export function sparseWriter(storage: WritableStorage): FileWriter {
  return {
    write: (from, fileOffset) => storage.writeAt(from, fileOffset),
    zero: (start, end) => storage.zeroAt(start, end),
    finish: (size) => storage.truncate(size),
  };
}

/**
 * Gives every byte up to the end to the host once, zeroes where nothing else comes: everything below a mark was written,
 * and the mark rises with the writes. Never reads back, and leaves no hole in a new file.
 */
export function denseWriter(storage: WritableStorage): FileWriter {
  let writtenEnd = 0;
  const turn = serialize();
  async function raise(start: number, end: number): Promise<void> {
    const from = writtenEnd;
    writtenEnd = Math.max(writtenEnd, end);
    if (start <= from) return;
    if (storage.startsZeroed) await storage.reserve(from, start, true);
    else await storage.zeroAt(from, start);
  }
  async function fill(start: number, end: number): Promise<void> {
    for (let at = start; at < end;) {
      const piece = zeroes(Math.min(end - at, 1 << 20));
      await storage.writeAt(piece, at);
      at += piece.length;
    }
  }
  return {
    write: (from, fileOffset) =>
      turn(async () => {
        await raise(fileOffset, fileOffset + from.length);
        await storage.writeAt(from, fileOffset);
      }),
    // In a new file not as a hole, which the host might make of it.
    zero: (start, end) =>
      turn(() => storage.startsZeroed ? fill(start, Math.min(end, writtenEnd)) : storage.zeroAt(start, end)),
    finish: (size) => turn(() => raise(size, size)),
  };
}
