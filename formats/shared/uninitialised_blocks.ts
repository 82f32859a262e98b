/**
 * Writes into newly allocated blocks, whose other bytes must read as zeroes, and questions about zeroes that formats of
 * blocks ask before they write.
 *
 * @module
 */
import { zeroes } from "../bytes.ts";
import { PIECE } from "../content.ts";
import type { GuestReader } from "../guest_reader.ts";
import type { WritableStorage } from "../storage/types.ts";

/**
 * Blocks that were allocated and may hold any bytes. All positions are file offsets; a block is identified by the offset
 * of its first byte.
 */
export interface UninitialisedBlocks {
  /** Adds the block `[start, end)`. */
  add(start: number, end: number): void;
  /** Fills the gap before `[start, end)` of `block`. Callers await it before they write that range. */
  prepare(block: number, start: number, end: number): Promise<void>;
  /** Returns where the initialised bytes of `block` end; the rest is filled later. `Infinity` for any other block. */
  initialisedEnd(block: number): number;
  /** Fills all bytes that are still uninitialised. */
  finish(): Promise<void>;
}

/**
 * Returns an empty list of blocks. Gaps are filled before a write behind them, or at the end. A block that is written in
 * ascending order is written once.
 *
 * @param fill makes a range read as zeroes; `null` where new blocks read as zeroes already, and may stay holes
 *
 * @example
 * ```ts
 * import { uninitialisedBlocks } from "./uninitialised_blocks.ts";
 * import assert from "node:assert/strict";
 *
 * const filled: number[][] = [];
 * const blocks = uninitialisedBlocks((start, end) => Promise.resolve(void filled.push([start, end])));
 * blocks.add(100, 200);
 * await blocks.prepare(100, 120, 130);
 * await blocks.prepare(100, 110, 115);
 * await blocks.finish();
 * assert.deepEqual(filled, [[100, 120], [130, 200]]);
 * ```
 */
export function uninitialisedBlocks(fill: ((start: number, end: number) => Promise<void>) | null): UninitialisedBlocks {
  const blocks = new Map<number, { initialisedEnd: number; readonly end: number }>();
  return {
    add(start, end) {
      if (fill !== null) blocks.set(start, { initialisedEnd: start, end });
    },
    async prepare(block, start, end) {
      const entry = blocks.get(block);
      if (fill === null || entry === undefined) return;
      if (start > entry.initialisedEnd) await fill(entry.initialisedEnd, start);
      entry.initialisedEnd = Math.max(entry.initialisedEnd, end);
      if (entry.initialisedEnd >= entry.end) blocks.delete(block);
    },
    initialisedEnd: (block) => blocks.get(block)?.initialisedEnd ?? Infinity,
    async finish() {
      const left = [...blocks.values()].sort((a, b) => a.initialisedEnd - b.initialisedEnd);
      blocks.clear();
      for (const { initialisedEnd, end } of left) await fill?.(initialisedEnd, end);
    },
  };
}

/** Writes zeroes as data: the file gets no hole. */
export async function writeZeroes(storage: WritableStorage, start: number, end: number): Promise<void> {
  for (let at = start; at < end; at += PIECE) await storage.writeAt(zeroes(Math.min(PIECE, end - at)), at);
}

/** Returns whether the tables of the backing chain show that the guest bytes `[start, end)` are zero. Reads no data. */
export async function readsZero(backing: GuestReader, start: number, end: number): Promise<boolean> {
  const inside = Math.min(end, backing.size);
  for (let at = start; at < inside;) {
    const extent = await backing.extentAt(at, inside);
    if (extent.kind === "data") return false;
    at = extent.end;
  }
  return true;
}

/** Returns whether the host states that a file has no holes, so that writers make none. */
export async function hasNoHoles(storage: WritableStorage): Promise<boolean> {
  if (storage.holeAt === undefined || storage.size === 0) return false;
  const { hole, end } = await storage.holeAt(0, storage.size);
  return !hole && end === storage.size;
}
