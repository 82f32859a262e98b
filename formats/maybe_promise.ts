/**
 * Answers that are mostly at hand. A look-up in a table that is in memory costs less than a promise does; so it answers
 * at once, and only a table that must be read first makes it a promise. `await` takes both.
 *
 * @module
 */

/** A value, or one that will be there. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * `next` of `value`: at once where the value is at hand.
 *
 * @example
 * ```ts
 * import { andThen } from "./maybe_promise.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(andThen(2, (value) => value + 1), 3);
 * assert.equal(await andThen(Promise.resolve(2), (value) => value + 1), 3);
 * ```
 */
export function andThen<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
