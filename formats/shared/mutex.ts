/**
 * Work on shared tables, one piece after another.
 *
 * @module
 */

/**
 * Runs actions one after another, in the order in which they were handed in. After a failure no further one is run:
 * tables may be half changed.
 *
 * @example
 * ```ts
 * import { serialize } from "./mutex.ts";
 * import assert from "node:assert/strict";
 *
 * const turn = serialize();
 * const said: string[] = [];
 * const slow = turn(() => new Promise<void>((done) => setTimeout(() => (said.push("slow"), done()), 5)));
 * const quick = turn(() => Promise.resolve(void said.push("quick")));
 * await Promise.all([slow, quick]);
 * assert.deepEqual(said, ["slow", "quick"]);
 * ```
 */
export function serialize(): (action: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (action) => {
    const next = last.then(action);
    last = next;
    // A failure is reported to the caller of the action that failed, and to those that come after.
    last.catch(() => {});
    return next;
  };
}
