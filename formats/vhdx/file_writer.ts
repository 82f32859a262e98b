/**
 * Writes to the file of a new image, with holes where nothing is written, or without holes.
 *
 * @module
 */
import { zeroes } from "../bytes.ts";
import { serialize } from "../shared/mutex.ts";
import type { WritableStorage } from "../storage/types.ts";

/** Writes to a file. All positions are file offsets. */
export interface FileWriter {
  write(from: Uint8Array, fileOffset: number): Promise<void>;
  /** Makes `[start, end)` read as zeroes. */
  zero(start: number, end: number): Promise<void>;
  /** Sets the size of the file; bytes that were not written read as zeroes. */
  finish(size: number): Promise<void>;
}

/** Returns a writer that leaves holes. The storage must read as zeroes at first. */
export function sparseWriter(storage: WritableStorage): FileWriter {
  return {
    write: (from, fileOffset) => storage.writeAt(from, fileOffset),
    zero: (start, end) => storage.zeroAt(start, end),
    finish: (size) => storage.truncate(size),
  };
}

/**
 * Returns a writer that writes every byte up to the end of the file, and fills gaps with zeroes: all bytes before
 * `writtenEnd` are written. It reads nothing back, and leaves no hole in a new file.
 */
export function denseWriter(storage: WritableStorage): FileWriter {
  let writtenEnd = 0;
  const exclusive = serialize();
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
      exclusive(async () => {
        await raise(fileOffset, fileOffset + from.length);
        await storage.writeAt(from, fileOffset);
      }),
    // In a new file, `zeroAt` might punch a hole.
    zero: (start, end) =>
      exclusive(() => storage.startsZeroed ? fill(start, Math.min(end, writtenEnd)) : storage.zeroAt(start, end)),
    finish: (size) => exclusive(() => raise(size, size)),
  };
}
