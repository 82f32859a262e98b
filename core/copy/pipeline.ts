/**
 * Pieces in flight, bounded and settled in order. Where clusters are compressed or decompressed, and where workers
 * copy, several pieces are in flight, so that every core has work; elsewhere one, whose bytes stay in the processor's
 * cache between reading and writing.
 *
 * @module
 */
import { pageMemory } from "../../formats/mod.ts";
import type { Step } from "./plan.ts";

/** All buffers together stay below this many bytes, however large the pieces are. */
const BUFFERS_MAX = 64 << 20;

/** A part of a step, with its status and action. */
export type Piece = Omit<Step, "extents">;

/** A piece that is done; `zeroes` of its bytes were found to be zero. */
export type SettledPiece = Piece & { readonly zeroes: number; readonly seconds: number };

/** The work on a piece. */
export interface PieceWork {
  readonly piece: Piece;
  /** Fills the buffer; absent where there is nothing to read. */
  readonly read?: (buffer: Uint8Array) => Promise<void>;
  /** Returns how many bytes were found to be zero. Begins in the order of the pieces. */
  readonly write: (buffer: Uint8Array) => Promise<number>;
}

/** Which work of a piece may overlap with that of others. */
export interface Overlap {
  /** Whether other pieces may be in flight at the same time. */
  readonly pieces: boolean;
  /** Whether its write may begin before the earlier ones have ended. */
  readonly writes: boolean;
}

/** A bounded, ordered pipeline. */
export interface Pipeline {
  /** Starts the work on a piece, once there is room for it; throws the error of an earlier piece. */
  run(work: PieceWork, overlap: Overlap): Promise<void>;
  /** Returns when all pieces are settled; throws the error of the first piece that failed. */
  drained(): Promise<void>;
  /** Returns when no piece is in flight any more, whether they succeeded or failed. Throws nothing. */
  idle(): Promise<void>;
}

/** Callbacks of a pipeline. */
export interface PipelineEvents {
  /** Work on a piece begins; not for pieces that are skipped. */
  begin(piece: Piece): void;
  /** A piece is settled. Comes in the order of the pieces. */
  settled(piece: SettledPiece): void;
}

/**
 * Returns a pipeline.
 *
 * @param width the most pieces in flight
 * @param bufferSize bytes of each buffer
 *
 * @example
 * ```ts
 * import { pipelineOf } from "./pipeline.ts";
 * import assert from "node:assert/strict";
 *
 * const order: number[] = [];
 * const pipeline = pipelineOf(2, 512, { begin: () => {}, settled: ({ start }) => order.push(start) });
 * for (const start of [0, 512, 1024]) {
 *   const piece = { action: "copy", kind: "data", compressed: true, start, end: start + 512 } as const;
 *   await pipeline.run({ piece, write: () => Promise.resolve(0) }, { pieces: true, writes: true });
 * }
 * await pipeline.drained();
 * assert.deepEqual(order, [0, 512, 1024]);
 * ```
 */
export function pipelineOf(width: number, bufferSize: number, events: PipelineEvents): Pipeline {
  const count = Math.max(1, Math.min(width, Math.floor(BUFFERS_MAX / bufferSize)));
  const slots = Array.from({ length: count }, (): Slot => ({ buffer: null, settled: Promise.resolve() }));
  let next = 0;
  let previous: Started = { writing: Promise.resolve(), settled: Promise.resolve() };

  function start({ piece, read, write }: PieceWork, slot: Slot, overlapWrites: boolean): Started {
    const begun = performance.now();
    const before = previous;
    const buffer = read ? slot.buffer ??= pageMemory(bufferSize) : NO_BYTES;
    let writeBegun = () => {};
    const writing = new Promise<void>((resolve) => writeBegun = resolve);
    const readAndWrite = async () => {
      if (read) await read(buffer);
      await (overlapWrites ? before.writing : before.settled);
      const written = write(buffer);
      writeBegun();
      return await written;
    };
    const work = async () => {
      // The error of an earlier piece comes first, even if that piece fails later.
      const zeroes = await readAndWrite().finally(() => before.settled);
      events.settled({ ...piece, zeroes, seconds: (performance.now() - begun) / 1000 });
    };
    if (piece.action !== "skip") events.begin(piece);
    const settled = work().finally(writeBegun);
    // The next piece, or `drained`, throws the error; until then it is not an unhandled one.
    settled.catch(() => {});
    return { writing, settled };
  }

  return {
    async run(work, overlap) {
      if (!overlap.pieces) await previous.settled;
      const slot = slots[overlap.pieces ? next : 0];
      await slot.settled;
      previous = start(work, slot, overlap.writes);
      slot.settled = previous.settled;
      if (overlap.pieces) next = (next + 1) % count;
      else await previous.settled;
    },
    async drained() {
      // Each piece waits for the one before it, so the last one has the first error.
      await previous.settled;
    },
    async idle() {
      await Promise.allSettled(slots.map((slot) => slot.settled));
    },
  };
}

const NO_BYTES = new Uint8Array(0);

/** Room for one piece in flight. */
interface Slot {
  buffer: Uint8Array | null;
  settled: Promise<void>;
}

/** The piece that was started last: when its write has begun, and when it is settled. */
interface Started {
  readonly writing: Promise<void>;
  readonly settled: Promise<void>;
}
