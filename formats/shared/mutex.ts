/**
 * Mutual exclusion for work on shared tables.
 *
 * @module
 */

/**
 * Returns a function that runs actions one after another, in the order of its calls. After a failure it rejects all
 * further actions, because tables may be half changed.
 *
 * @example
 * ```ts
 * import { serialize } from "./mutex.ts";
 * import assert from "node:assert/strict";
 *
 * const exclusive = serialize();
 * const order: string[] = [];
 * const slow = exclusive(() => new Promise<void>((done) => setTimeout(() => (order.push("slow"), done()), 5)));
 * const quick = exclusive(() => Promise.resolve(void order.push("quick")));
 * await Promise.all([slow, quick]);
 * assert.deepEqual(order, ["slow", "quick"]);
 * ```
 */
export function serialize(): (action: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (action) => {
    const next = last.then(action);
    last = next;
    // The callers of the failed action and of later ones get the failure; here it must not count as unhandled.
    last.catch(() => {});
    return next;
  };
}
