/**
 * What is to be written: bytes in memory, or bytes that still lie in another file, which the host may copy by itself.
 *
 * @module
 */
import { pageMemory } from "./page_memory.ts";
import type { HostCopy } from "./storage/host.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/**
 * Bytes read and written at once. A piece of this size stays in the processor's caches between reading, looking for
 * zeroes and writing, and the kernel copies it with few instructions: pieces of 256 KiB took a fifth more.
 */
export const PIECE = 1 << 20;

/** Bytes for a target. */
export interface Content {
  /** How many. */
  readonly length: number;
  /** Those from `from` to `end`, counted from its own start. */
  part(from: number, end: number): Content;
  /** Writes all of them at `fileOffset` of `target`. */
  writeTo(target: WritableStorage, fileOffset: number): Promise<void>;
}

/**
 * Bytes in memory.
 *
 * @example
 * ```ts
 * import { inMemory } from "./content.ts";
 * import { MemoryStorage } from "./storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const target = new MemoryStorage();
 * await inMemory(new Uint8Array([1, 2, 3])).part(1, 3).writeTo(target, 0);
 * assert.equal(target.size, 2);
 * ```
 */
export function inMemory(bytes: Uint8Array): Content {
  return {
    length: bytes.length,
    part: (from, end) => inMemory(bytes.subarray(from, end)),
    writeTo: (target, fileOffset) => target.writeAt(bytes, fileOffset),
  };
}

/** How the host is to copy; once it has refused, it is not asked again. */
export interface Offload {
  readonly how: HostCopy;
  refused: boolean;
}

/** The bytes `[start, end)` of `source`; copied by the host where it can, read and written where it cannot. */
export function inFile(source: Storage, start: number, end: number, offload: Offload): Content {
  return {
    length: end - start,
    part: (from, to) => inFile(source, start + from, start + to, offload),
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
