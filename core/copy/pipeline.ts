/**
 * Pieces under way. Where workers compress, decompress or copy, several pieces are under way at once, so that every core has some
 * to work on; elsewhere one, which stays in the cache between reading and writing.
 *
 * @module
 */
import { pageMemory } from "../../formats/mod.ts";
import type { Step } from "./plan.ts";

/** All buffers together stay below this, in bytes, however large the pieces are. */
const BUFFERS_MAX = 64 << 20;

/** A piece that has settled; `zeroes` of its bytes were found to be zero. */
export type Settled = Step & { readonly zeroes: number; readonly seconds: number };

/** What is to be done for a piece. */
export interface PieceWork {
  readonly piece: Step;
  /** Fills the buffer; absent where there is nothing to read. May run beside other pieces. */
  readonly read?: (buffer: Uint8Array) => Promise<void>;
  /** Returns how many bytes were found to be zero. Begun in the order of the pieces. */
  readonly write: (buffer: Uint8Array) => Promise<number>;
}

/** How pieces may overlap. */
export interface Overlap {
  /** Whether others may be under way beside this piece. */
  readonly pieces: boolean;
  /** Whether a write may begin before the earlier ones have ended. */
  readonly writes: boolean;
}

/** Pieces under way. */
export interface Pipeline {
  /** Starts a piece; throws what went wrong in an earlier one. */
  run(work: PieceWork, overlap: Overlap): Promise<void>;
  /** Everything has settled; throws what went wrong. */
  drained(): Promise<void>;
  /** Nothing is under way any more, however it ended. */
  quiet(): Promise<void>;
}

/**
 * Makes lanes.
 *
 * @param width how many pieces at once
 * @param size bytes of each buffer
 * @param onSettled hears of every piece, in order
 *
 * @example
 * ```ts
 * import { pipelineOf } from "./pipeline.ts";
 * import assert from "node:assert/strict";
 *
 * const order: number[] = [];
 * const lanes = pipelineOf(2, 512, ({ start }) => order.push(start));
 * for (const start of [0, 512, 1024]) {
 *   const piece = { action: "copy", kind: "data", compressed: true, start, end: start + 512 } as const;
 *   await lanes.run({ piece, write: () => Promise.resolve(0) }, { pieces: true, writes: true });
 * }
 * await lanes.drained();
 * assert.deepEqual(order, [0, 512, 1024]);
 * ```
 */
export function pipelineOf(width: number, size: number, onSettled: (piece: Settled) => void): Pipeline {
  const count = Math.max(1, Math.min(width, Math.floor(BUFFERS_MAX / size)));
  const lanes = Array.from({ length: count }, (): Lane => ({ buffer: null, settled: Promise.resolve() }));
  let next = 0;
  /** The piece before has begun to write, and has settled. */
  let before: Started = { writing: Promise.resolve(), settled: Promise.resolve() };

  function start({ piece, read, write }: PieceWork, lane: Lane, writes: boolean): Started {
    const begun = performance.now();
    const previous = before;
    // Workers take shared memory as it is; nobody else minds.
    const buffer = read ? lane.buffer ??= pageMemory(size) : NOTHING;
    let startWriting = () => {};
    const writing = new Promise<void>((resolve) => startWriting = resolve);
    const copy = async () => {
      if (read) await read(buffer);
      await (writes ? previous.writing : previous.settled);
      const written = write(buffer);
      startWriting();
      const zeroes = await written;
      await previous.settled;
      onSettled({ ...piece, zeroes, seconds: (performance.now() - begun) / 1000 });
    };
    const settled = copy().finally(startWriting);
    // Whoever waits for it hears of a failure; until then it is not an unhandled one.
    settled.catch(() => {});
    return { writing, settled };
  }

  return {
    async run(work, overlap) {
      if (!overlap.pieces) await before.settled;
      const lane = lanes[overlap.pieces ? next : 0];
      await lane.settled;
      before = start(work, lane, overlap.writes);
      lane.settled = before.settled;
      if (overlap.pieces) next = (next + 1) % count;
      else await before.settled;
    },
    async drained() {
      await Promise.all(lanes.map((lane) => lane.settled));
    },
    async quiet() {
      await Promise.allSettled(lanes.map((lane) => lane.settled));
    },
  };
}

const NOTHING = new Uint8Array(0);

interface Lane {
  buffer: Uint8Array | null;
  settled: Promise<void>;
}

interface Started {
  readonly writing: Promise<void>;
  readonly settled: Promise<void>;
}
