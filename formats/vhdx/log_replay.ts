/**
 * Replay of a log in memory: reads show the changes, and the file stays unchanged.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import type { Replay } from "./log.ts";
import type { Change } from "./log_entry.ts";

/** The visible part of a change: file bytes `[start, end)`; `dataStart` is the file offset of the first byte of `data`. */
interface Patch {
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array | null;
  readonly dataStart: number;
}

/**
 * Returns a view of `storage` with the changes of `replay`. It does not own `storage`.
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { replayed } from "./log_replay.ts";
 * import assert from "node:assert/strict";
 *
 * const file = new MemoryStorage(new Uint8Array(8192).fill(1));
 * const view = replayed(file, { fileSize: 8192, changes: [{ start: 4096, end: 8192, data: null }] });
 * const bytes = new Uint8Array(2);
 * await view.readAt(bytes, 4095);
 * assert.deepEqual([...bytes, file.bytes()[4096]], [1, 0, 1]);
 * ```
 */
export function replayed(storage: Storage, replay: Replay): Storage {
  const patches = lastWins(replay.changes);
  const { fileSize } = replay;
  return {
    label: storage.label,
    size: fileSize,
    async readAt(into, fileOffset) {
      const end = fileOffset + into.length;
      if (end > fileSize) {
        const message =
          `Cannot read ${into.length} bytes at ${fileOffset} of "${storage.label}": it ends at ${fileSize}`;
        throw corrupt(message, storage.label, fileOffset);
      }
      const there = Math.max(0, Math.min(into.length, storage.size - fileOffset));
      if (there > 0) await storage.readAt(into.subarray(0, there), fileOffset);
      into.fill(0, there);
      for (let nth = firstAfter(patches, fileOffset); nth < patches.length && patches[nth].start < end; nth++) {
        apply(patches[nth], into, fileOffset, end);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function apply(patch: Patch, into: Uint8Array, fileOffset: number, fileEnd: number): void {
  const start = Math.max(patch.start, fileOffset);
  const end = Math.min(patch.end, fileEnd);
  if (patch.data === null) return void into.fill(0, start - fileOffset, end - fileOffset);
  into.set(patch.data.subarray(start - patch.dataStart, end - patch.dataStart), start - fileOffset);
}

/** Returns the index of the first patch that ends after `fileOffset`. */
function firstAfter(patches: readonly Patch[], fileOffset: number): number {
  let low = 0;
  let high = patches.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (patches[middle].end > fileOffset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Returns the visible parts of a series of changes, of which the last one wins: patches without overlaps, in the order of
 * their offsets. Walks from the last change to the first, and gives each the cells that are still free, so that the cost is
 * little more than that of sorting. Pure.
 */
function lastWins(changes: readonly Change[]): Patch[] {
  const edges = Float64Array.from(new Set(changes.flatMap(({ start, end }) => [start, end]))).sort();
  const indexOf = new Map<number, number>();
  edges.forEach((edge, index) => indexOf.set(edge, index));
  // Cell `n` is the range between edge `n` and the next; `free[n]` leads to the first free cell from `n` on.
  const free = Uint32Array.from(edges, (_, index) => index);
  const freeFrom = (cell: number): number => {
    let root = cell;
    while (free[root] !== root) root = free[root];
    while (free[cell] !== root) [free[cell], cell] = [root, free[cell]];
    return root;
  };
  const patches: Patch[] = [];
  for (const { start, end, data } of changes.toReversed()) {
    const last = indexOf.get(end)!;
    for (let cell = freeFrom(indexOf.get(start)!); cell < last; cell = freeFrom(cell)) {
      patches.push({ start: edges[cell], end: edges[cell + 1], data, dataStart: start });
      free[cell] = cell + 1;
    }
  }
  return patches.sort((a, b) => a.start - b.start);
}
