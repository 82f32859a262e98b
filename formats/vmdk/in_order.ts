/**
 * Bringing pieces into the order of the guest disk: writes overlap, and a later one may be packed before an earlier one.
 *
 * @module
 */

/** One piece of guest bytes. */
export interface Piece {
  /** First guest byte. */
  readonly start: number;
}

/** Pieces that wait for earlier ones. */
export interface InOrder<P extends Piece> {
  /** Takes a piece of `length` guest bytes, and hands on those that have waited long enough. */
  add(piece: P, length: number): Promise<void>;
  /** Hands on all that wait. */
  drain(): Promise<void>;
}

/**
 * Hands pieces to `emit` with rising positions. Nobody tells whether a gap will be filled, so a piece waits until
 * `window` guest bytes behind it are there: as many as can be under way at once.
 *
 * @param emit is called for one piece after another
 *
 * @example
 * ```ts
 * import { inOrder } from "./in_order.ts";
 * import assert from "node:assert/strict";
 *
 * const seen: number[] = [];
 * const order = inOrder<{ start: number }>(2, ({ start }) => Promise.resolve(void seen.push(start)));
 * for (const start of [1, 0, 3, 2]) await order.add({ start }, 1);
 * assert.deepEqual(seen, [0, 1]);
 * await order.drain();
 * assert.deepEqual(seen, [0, 1, 2, 3]);
 * ```
 */
export function inOrder<P extends Piece>(window: number, emit: (piece: P) => Promise<void>): InOrder<P> {
  /** Sorted by position, the last first. */
  const waiting: { readonly piece: P; readonly length: number }[] = [];
  let bytes = 0;
  let last = -1;
  let turn: Promise<void> = Promise.resolve();

  async function handOn(most: number): Promise<void> {
    while (bytes > most) {
      const { piece, length } = waiting.pop()!;
      bytes -= length;
      last = piece.start;
      await emit(piece);
    }
  }

  function next(most: number): Promise<void> {
    turn = turn.then(() => handOn(most));
    // A failure is told to whoever waits for this turn, and to all after it.
    turn.catch(() => {});
    return turn;
  }

  return {
    add(piece, length) {
      if (piece.start <= last) throw new Error(`Writes must come with rising positions: ${piece.start} after ${last}`);
      let at = waiting.length;
      while (at > 0 && waiting[at - 1].piece.start < piece.start) at--;
      waiting.splice(at, 0, { piece, length });
      bytes += length;
      return next(window);
    },
    drain: () => next(0),
  };
}
