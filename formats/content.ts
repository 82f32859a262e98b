/**
 * The bytes of a write: in memory, or in another file, from which the host may copy them.
 *
 * @module
 */
import { pageMemory } from "./page_memory.ts";
import type { HostCopy } from "./storage/host.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/**
 * Bytes read and written at once. A piece of this size stays in the processor's caches between reading, zero detection and
 * writing, and takes few system calls: pieces of 256 KiB took a fifth more time.
 */
export const PIECE = 1 << 20;

/** The bytes of a write. */
export interface Content {
  /** Number of bytes. */
  readonly length: number;
  /** Returns the bytes `[from, end)` of this content. */
  part(from: number, end: number): Content;
  /** Writes all bytes at `fileOffset` of `target`. */
  writeTo(target: WritableStorage, fileOffset: number): Promise<void>;
}

/**
 * Returns content of bytes in memory.
 *
 * @example
 * ```ts
 * import { memoryContent } from "./content.ts";
 * import { MemoryStorage } from "./storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const target = new MemoryStorage();
 * await memoryContent(new Uint8Array([1, 2, 3])).part(1, 3).writeTo(target, 0);
 * assert.equal(target.size, 2);
 * ```
 */
export function memoryContent(bytes: Uint8Array): Content {
  return {
    length: bytes.length,
    part: (from, end) => memoryContent(bytes.subarray(from, end)),
    writeTo: (target, fileOffset) => target.writeAt(bytes, fileOffset),
  };
}

/** How the host copies between two files; `refused` is set at its first refusal, and stops further attempts. */
export interface CopyOffload {
  readonly how: HostCopy;
  refused: boolean;
}

/** Returns content of the bytes `[start, end)` of `source`: the host copies them if it can, else they are read and written. */
export function fileContent(source: Storage, start: number, end: number, offload: CopyOffload): Content {
  return {
    length: end - start,
    part: (from, to) => fileContent(source, start + from, start + to, offload),
    async writeTo(target, fileOffset) {
      const copied = offload.refused ? 0 : await target.copyFrom?.(source, start, end, fileOffset, offload.how) ?? 0;
      if (copied < end - start) offload.refused = true;
      await readAndWrite(source, start + copied, end, target, fileOffset + copied);
    },
  };
}

async function readAndWrite(
  source: Storage,
  start: number,
  end: number,
  target: WritableStorage,
  fileOffset: number,
): Promise<void> {
  if (start >= end) return;
  const buffer = pageMemory(Math.min(PIECE, end - start));
  for (let at = start; at < end; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
    await source.readAt(piece, at);
    await target.writeAt(piece, fileOffset + (at - start));
  }
}
