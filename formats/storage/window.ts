/**
 * Windows: a range of another storage as storage, such as a partition of a disk, or an image in a container.
 *
 * @module
 */
import { corrupt, ImageError } from "../errors.ts";
import { andThen } from "../maybe_promise.ts";
import type { HostCopy } from "./host.ts";
import type { Origin, Storage, WritableStorage } from "./types.ts";

/**
 * Returns the bytes `[start, start + size)` of `inner` as storage. It does not own `inner`.
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "./memory.ts";
 * import { windowOf } from "./window.ts";
 * import assert from "node:assert/strict";
 *
 * const slice = windowOf(new MemoryStorage(new Uint8Array([1, 2, 3, 4])), 1, 2);
 * const bytes = new Uint8Array(2);
 * await slice.readAt(bytes, 0);
 * assert.deepEqual([...bytes], [2, 3]);
 * ```
 */
export function windowOf(inner: Storage, start: number, size: number): Storage {
  if (start + size > inner.size) {
    throw corrupt(
      `Cannot take bytes ${start} to ${start + size} of "${inner.label}": it ends at ${inner.size}`,
      inner.label,
      start,
    );
  }
  const holeAt = inner.holeAt?.bind(inner);
  return {
    label: inner.label,
    size,
    ...(inner.logicalSectorSize !== undefined && { logicalSectorSize: inner.logicalSectorSize }),
    readAt(into, fileOffset) {
      if (fileOffset + into.length > size) {
        return Promise.reject(
          corrupt(`Cannot read past the end of the window of "${inner.label}"`, inner.label, start + fileOffset),
        );
      }
      return inner.readAt(into, start + fileOffset);
    },
    ...(holeAt && {
      holeAt: (fileOffset: number, limit: number) =>
        andThen(holeAt(start + fileOffset, start + limit), ({ hole, end }) => ({ hole, end: end - start })),
    }),
    ...(inner.origin && { origin: originFrom(inner.origin, start) }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Returns an origin that begins `start` bytes later. */
function originFrom(inner: Origin, start: number): Origin {
  const { path, identity } = inner;
  return {
    path,
    identity,
    start: inner.start + start,
    // The file may be closed and opened again meanwhile.
    get host() {
      return inner.host;
    },
  };
}

/**
 * As {@linkcode windowOf}, also for writing. The size is fixed.
 */
export function writableWindowOf(inner: WritableStorage, start: number, size: number): WritableStorage {
  const window = windowOf(inner, start, size);
  const copyFrom = inner.copyFrom?.bind(inner);
  const checked = (end: number) => {
    if (end <= size) return;
    const message = `Cannot write up to byte ${end} of the window of "${inner.label}": it has ${size} bytes`;
    throw new ImageError("io", message, { path: inner.label, offset: start + end });
  };
  return {
    ...window,
    startsZeroed: false,
    zeroesCheaply: inner.zeroesCheaply,
    async writeAt(from, fileOffset) {
      checked(fileOffset + from.length);
      await inner.writeAt(from, start + fileOffset);
    },
    async zeroAt(from, end) {
      checked(end);
      await inner.zeroAt(start + from, start + end);
    },
    ...(inner.noteWritten && {
      noteWritten: (from: number, end: number) => inner.noteWritten?.(start + from, start + end),
    }),
    ...(inner.mayShareWith && { mayShareWith: inner.mayShareWith.bind(inner) }),
    ...(copyFrom && {
      async copyFrom(source: Storage, from: number, end: number, fileOffset: number, how: HostCopy) {
        checked(fileOffset + end - from);
        return await copyFrom(source, from, end, start + fileOffset, how);
      },
    }),
    // deno-lint-ignore require-await
    async truncate(to) {
      checked(to);
    },
    async reserve(from, end, written) {
      checked(end);
      await inner.reserve(start + from, start + end, written);
    },
    ...(inner.beginSync && { beginSync: inner.beginSync.bind(inner) }),
    sync: () => inner.sync(),
  };
}
