/**
 * Results that are usually available without waiting. A look-up in a table in memory costs less than a promise, so it
 * returns its value directly; it returns a promise only where the table must be read first. `await` accepts both.
 *
 * @module
 */

/** A value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * Returns `next(value)`; calls `next` directly where `value` is no promise.
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
