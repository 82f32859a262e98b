/**
 * What formats of blocks share when they write: newly allocated blocks whose rest must read as zeroes, and what lies
 * beneath them.
 *
 * @module
 */
import { zeroes } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import type { WritableStorage } from "../storage/types.ts";

/** Bytes written at once when zeroes are written or a lower layer is copied. */
export const PIECE = 1 << 20;

/** Areas of a file that were just allocated and may hold anything. All positions are file bytes. */
export interface UninitialisedBlocks {
  /** Takes note of `[start, end)`. */
  add(start: number, end: number): void;
  /** Before `[start, end)` of the area that begins at `area` is written. */
  touch(area: number, start: number, end: number): Promise<void>;
  /** Up to where the area has content; what is behind is filled later. `Infinity` for an area that is full or not new. */
  filledTo(area: number): number;
  /** Fills what is left. */
  finish(): Promise<void>;
}

/**
 * Keeps new areas free of gaps: before a write, and at the end, everything that was passed over is filled. Written in
 * ascending order, each byte is written once.
 *
 * @param fill makes a range read as zeroes; `null` where it does so already, and may stay a hole
 *
 * @example
 * ```ts
 * import { uninitialisedBlocks } from "./uninitialised_blocks.ts";
 * import assert from "node:assert/strict";
 *
 * const filled: number[][] = [];
 * const fresh = uninitialisedBlocks((start, end) => Promise.resolve(void filled.push([start, end])));
 * fresh.add(100, 200);
 * await fresh.touch(100, 120, 130);
 * await fresh.touch(100, 110, 115);
 * await fresh.finish();
 * assert.deepEqual(filled, [[100, 120], [130, 200]]);
 * ```
 */
export function uninitialisedBlocks(fill: ((start: number, end: number) => Promise<void>) | null): UninitialisedBlocks {
  const areas = new Map<number, { filled: number; readonly end: number }>();
  return {
    add(start, end) {
      if (fill !== null) areas.set(start, { filled: start, end });
    },
    async touch(area, start, end) {
      const here = areas.get(area);
      if (fill === null || here === undefined) return;
      if (start > here.filled) await fill(here.filled, start);
      here.filled = Math.max(here.filled, end);
      if (here.filled >= here.end) areas.delete(area);
    },
    filledTo: (area) => areas.get(area)?.filled ?? Infinity,
    async finish() {
      const left = [...areas.values()].sort((a, b) => a.filled - b.filled);
      areas.clear();
      for (const { filled, end } of left) await fill?.(filled, end);
    },
  };
}

/** Writes zeroes as data: no hole. */
export async function writeZeroes(storage: WritableStorage, start: number, end: number): Promise<void> {
  for (let at = start; at < end; at += PIECE) await storage.writeAt(zeroes(Math.min(PIECE, end - at)), at);
}

/** Whether the guest bytes `[start, end)` of a lower layer are known to be zero. */
export async function readsZero(below: GuestReader, start: number, end: number): Promise<boolean> {
  const inside = Math.min(end, below.size);
  for (let at = start; at < inside;) {
    const run = await below.extentAt(at, inside);
    if (run.kind === "data") return false;
    at = run.end;
  }
  return true;
}

/** Whether a file is known to have no holes, so that none shall be made in it. */
export async function hasNoHoles(storage: WritableStorage): Promise<boolean> {
  if (storage.holeAt === undefined || storage.size === 0) return false;
  const { hole, end } = await storage.holeAt(0, storage.size);
  return !hole && end === storage.size;
}
