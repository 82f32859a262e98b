/**
 * A cache of values in memory, bounded by their size in bytes. Tables that may be dirty need {@linkcode TableCache}, which
 * writes them before it evicts them.
 *
 * @module
 */

/** Values by key. */
export interface LruCache<Value> {
  get(key: number): Value | undefined;
  /** Adds or replaces a value, and evicts the least recently used ones while the cache is too large. */
  set(key: number, value: Value): void;
}

/**
 * Creates an empty cache. A value that was just set is kept even where it alone exceeds the limit.
 *
 * @param sizeOf returns the size of a value in bytes
 * @param maxBytes greatest sum of the sizes of all values
 *
 * @example
 * ```ts
 * import { lruCache } from "./lru_cache.ts";
 * import assert from "node:assert/strict";
 *
 * const cache = lruCache((bytes: Uint8Array) => bytes.length, 100);
 * cache.set(1, new Uint8Array(50));
 * cache.set(2, new Uint8Array(50));
 * cache.get(1);
 * cache.set(3, new Uint8Array(50));
 * assert.deepEqual([1, 2, 3].map((key) => cache.get(key) !== undefined), [true, false, true]);
 * ```
 */
export function lruCache<Value>(sizeOf: (value: Value) => number, maxBytes: number): LruCache<Value> {
  // A Map keeps the order of insertion: its first entry is the least recently used.
  const values = new Map<number, Value>();
  let bytes = 0;
  /** The key that was added last. */
  let newest: number | undefined;
  const remove = (key: number): Value | undefined => {
    const value = values.get(key);
    if (value === undefined) return undefined;
    values.delete(key);
    bytes -= sizeOf(value);
    return value;
  };
  const add = (key: number, value: Value): void => {
    values.set(key, value);
    newest = key;
    bytes += sizeOf(value);
  };
  return {
    get(key) {
      // In an image of many small extents, the same table is looked up thousands of times in turn.
      if (key === newest) return values.get(key);
      const value = remove(key);
      if (value !== undefined) add(key, value);
      return value;
    },
    set(key, value) {
      remove(key);
      add(key, value);
      for (const oldest of values.keys()) {
        if (bytes <= maxBytes || oldest === key) break;
        remove(oldest);
      }
    },
  };
}
