/**
 * The storage of a target as its job wants it: synced after every write if so asked, and never away for long.
 *
 * @module
 */
import type { WritableStorage } from "../formats/mod.ts";
import type { SyncMode } from "./job.ts";

/** Taking space from the host may take minutes; after so many bytes signals get their turn. */
const RESERVE_PART = 256 << 20;

/** How a job wants its target written. */
export interface TargetManners {
  readonly sync: SyncMode;
  /** Awaited between parts of what takes long; throws where the job is cancelled. */
  readonly pause?: (() => Promise<void>) | undefined;
}

/** `storage`, with these manners. */
export function targetStorage(storage: WritableStorage, { sync, pause }: TargetManners): WritableStorage {
  const settled = sync === "always" ? () => storage.sync() : () => Promise.resolve();
  return {
    get label() {
      return storage.label;
    },
    get size() {
      return storage.size;
    },
    get startsZeroed() {
      return storage.startsZeroed;
    },
    get zeroesCheaply() {
      return storage.zeroesCheaply;
    },
    readAt: (into, fileOffset) => storage.readAt(into, fileOffset),
    ...(storage.holeAt && { holeAt: storage.holeAt.bind(storage) }),
    async writeAt(from, fileOffset) {
      await storage.writeAt(from, fileOffset);
      await settled();
    },
    async zeroAt(start, end) {
      await storage.zeroAt(start, end);
      await settled();
    },
    truncate: (size) => storage.truncate(size),
    async reserve(start, end, written) {
      for (let at = start; at < end; at += RESERVE_PART) {
        await pause?.();
        await storage.reserve(at, Math.min(at + RESERVE_PART, end), written);
      }
    },
    sync: () => storage.sync(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}
