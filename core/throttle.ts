/**
 * The throttle of a job: it lets the event loop turn, ends a cancelled job, pauses, and limits the rate.
 *
 * @module
 */
import { throwIfCancelled } from "../formats/mod.ts";

/** Milliseconds of work between two turns of the event loop: a key or Ctrl-C is handled within a tenth of a second. */
const TURN = 20;

/**
 * Rounds of the event loop in a turn. While a task is always ready, Deno polls results of other threads (a key that was
 * read) in every 31st round, and events of the system (a signal) in every 61st: with one round, a key waited for 31 turns.
 * All rounds together take a tenth of a millisecond.
 */
const ROUNDS = 64;

/**
 * Milliseconds of writing that a job may catch up with after a delay. A longer one (a disk that is slow, a job that is
 * stopped) gives no credit: a job that then wrote at full speed would break the limit for the same time.
 */
const MOST_CREDIT = 500;

/** The throttle of one job. */
export interface Throttle {
  /** Awaited often; cheap. Throws `cancelled`. */
  checkpoint(): Promise<void>;
  /** Awaited after `bytes` have been written; sleeps as long as the rate limit demands. */
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
  // When all bytes so far may have been written.
  let due = performance.now();
  // The first turn is not due at once: opening files has let the loop turn, and `setImmediate` loads much of Node.
  let turn: number | undefined;
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
      due += performance.now() - stopped;
    }
    turn = performance.now();
    throwIfCancelled(signal);
  };
  return {
    checkpoint,
    async account(bytes) {
      if (rateLimit > 0) {
        due = Math.max(due, performance.now() - MOST_CREDIT) + bytes / rateLimit * 1000;
        await sleepUntil(due, signal);
      }
      await checkpoint();
    },
  };
}

/** Resolves when the job is cancelled. */
function cancelled(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
}

async function sleepUntil(time: number, signal: AbortSignal | undefined): Promise<void> {
  for (let left = time - performance.now(); left > 1; left = time - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 50)));
    throwIfCancelled(signal);
  }
}
