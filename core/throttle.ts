/**
 * The throttle of a job: signals, timers and keys get their turn, a cancelled job ends, and a rate limit is kept.
 *
 * @module
 */
import { throwIfCancelled } from "../formats/mod.ts";

/** Milliseconds of work after which others get their turn: a key or Ctrl-C is answered well within a tenth of a second. */
const TURN = 20;

/**
 * Rounds of the event loop in a turn. While something is always ready, Deno looks at what other threads have done (a key
 * that was read) in every 31st round, and at the system's events (a signal) in every 61st: with one round, a key waited
 * for 31 turns. All rounds together take a tenth of a millisecond.
 */
const ROUNDS = 64;

/** The throttle of one job. */
export interface Throttle {
  /** To be awaited often; costs next to nothing. Throws `cancelled`. */
  checkpoint(): Promise<void>;
  /** To be awaited after `bytes` have been written; sleeps as long as the rate limit wants. */
  account(bytes: number): Promise<void>;
}

/**
 * Returns the throttle of a job.
 *
 * @param rateLimit bytes a second on average, 0 for none
 * @param paused see `ConvertContext`
 *
 * @example
 * ```ts
 * import { throttleOf } from "./throttle.ts";
 *
 * const throttle = throttleOf(undefined, 0);
 * await throttle.checkpoint();
 * await throttle.account(4096);
 * ```
 */
export function throttleOf(
  signal: AbortSignal | undefined,
  rateLimit: number,
  paused: () => Promise<void> | null = () => null,
): Throttle {
  let begun = performance.now();
  // Whoever opens files has waited for the system before; and what a turn takes loads much of Node.
  let turn: number | undefined;
  let written = 0;
  const checkpoint = async () => {
    throwIfCancelled(signal);
    turn ??= performance.now();
    if (performance.now() - turn < TURN) return;
    for (let round = 0; round < ROUNDS; round++) await new Promise((resolve) => setImmediate(resolve));
    throwIfCancelled(signal);
    const rest = paused();
    if (rest) {
      const stopped = performance.now();
      await Promise.race([rest, cancelled(signal)]);
      begun += performance.now() - stopped;
    }
    turn = performance.now();
    throwIfCancelled(signal);
  };
  return {
    checkpoint,
    async account(bytes) {
      if (rateLimit > 0) {
        written += bytes;
        await sleepUntil(begun + written / rateLimit * 1000, signal);
      }
      await checkpoint();
    },
  };
}

/** Settles when the job is cancelled. */
function cancelled(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
}

async function sleepUntil(time: number, signal: AbortSignal | undefined): Promise<void> {
  for (let left = time - performance.now(); left > 1; left = time - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 50)));
    throwIfCancelled(signal);
  }
}
