/**
 * Writes under way. A target that packs takes several pieces at once, so that every core has one to work on; any other
 * target takes one, and a lane is then nothing but its buffer.
 *
 * @module
 */
import type { Step } from "./plan.ts";

/** All buffers together stay below this, in bytes, however large the pieces are. */
const BUFFERS_MAX = 64 << 20;

/** A piece that has settled; `zeroes` of its bytes were found to be zero. */
export type Settled = Step & { readonly zeroes: number; readonly seconds: number };

/** Pieces under way. */
export interface Lanes {
  /** A buffer that no piece under way uses, for the next {@linkcode run}. Throws what went wrong in an earlier piece. */
  free(): Promise<Uint8Array>;
  /**
   * Starts a write; returns at once where another piece may be started beside it.
   *
   * @param begun when the piece was begun, by `performance.now()`
   */
  run(piece: Step, begun: number, write: () => Promise<number>): Promise<void>;
  /** Everything has settled; throws what went wrong. */
  drained(): Promise<void>;
  /** Nothing is under way any more, however it ended. */
  quiet(): Promise<void>;
}

/**
 * Makes lanes.
 *
 * @param width how many pieces at once; 1: each is awaited
 * @param size bytes of each buffer
 * @param onSettled hears of every piece in the order in which they were started
 *
 * @example
 * ```ts
 * import { lanesOf } from "./lanes.ts";
 * import assert from "node:assert/strict";
 *
 * const order: number[] = [];
 * const lanes = lanesOf(2, 512, ({ start }) => order.push(start));
 * for (const start of [0, 512, 1024]) {
 *   await lanes.free();
 *   await lanes.run({ act: "copy", kind: "data", start, end: start + 512 }, 0, () => Promise.resolve(0));
 * }
 * await lanes.drained();
 * assert.deepEqual(order, [0, 512, 1024]);
 * ```
 */
export function lanesOf(width: number, size: number, onSettled: (piece: Settled) => void): Lanes {
  const count = Math.max(1, Math.min(width, Math.floor(BUFFERS_MAX / size)));
  // Workers read shared memory where it is; a single lane has no workers behind it.
  const buffers = Array.from(
    { length: count },
    () => new Uint8Array(count > 1 ? new SharedArrayBuffer(size) : new ArrayBuffer(size)),
  );
  const underWay: Promise<void>[] = buffers.map(() => Promise.resolve());
  let next = 0;
  let last: Promise<void> = Promise.resolve();
  return {
    async free() {
      await underWay[next];
      return buffers[next];
    },
    async run(piece, begun, write) {
      await underWay[next];
      const before = last;
      const done = write().then(async (zeroes) => {
        await before;
        onSettled({ ...piece, zeroes, seconds: (performance.now() - begun) / 1000 });
      });
      // Whoever waits for it hears of a failure; until then it is not an unhandled one.
      done.catch(() => {});
      last = underWay[next] = done;
      next = (next + 1) % count;
      if (count === 1) await done;
    },
    async drained() {
      await Promise.all(underWay);
    },
    async quiet() {
      await Promise.allSettled(underWay);
    },
  };
}
