/**
 * The storage of a target as its job wants it: synced after every write, or bit by bit beside the copy, and never away for
 * long.
 *
 * @module
 */
import type { HostCopy, Storage, WritableStorage } from "../../formats/mod.ts";
import type { SyncMode } from "../job.ts";

/** Taking space from the host may take minutes; after so many bytes signals get their turn. */
const RESERVE_PART = 256 << 20;

/** After so many bytes the host may as well begin to write them out. */
const SYNC_PART = 32 << 20;

/** How a job wants its target written. */
export interface TargetManners {
  readonly sync: SyncMode;
  /** Awaited between parts of what takes long, with how much of it is done; throws where the job is cancelled. */
  readonly checkpoint?: ((share?: number) => Promise<void>) | undefined;
}

/** `storage`, with these manners. */
export function targetStorage(storage: WritableStorage, { sync, checkpoint }: TargetManners): WritableStorage {
  const copyFrom = storage.copyFrom?.bind(storage);
  let unsynced = 0;
  const settled = async (bytes: number) => {
    if (sync === "always") return await storage.sync();
    unsynced += bytes;
    if (sync === "never" || unsynced < SYNC_PART) return;
    unsynced = 0;
    storage.beginSync?.();
  };
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
      await settled(from.length);
    },
    async zeroAt(start, end) {
      await storage.zeroAt(start, end);
      await settled(0);
    },
    // Others do not sync after every write.
    ...(sync !== "always" && storage.origin && { origin: storage.origin }),
    noteWritten(start, end) {
      storage.noteWritten?.(start, end);
      void settled(end - start);
    },
    ...(storage.mayShareWith && { mayShareWith: storage.mayShareWith.bind(storage) }),
    ...(copyFrom && {
      async copyFrom(source: Storage, start: number, end: number, fileOffset: number, how: HostCopy) {
        const copied = await copyFrom(source, start, end, fileOffset, how);
        await settled(copied);
        return copied;
      },
    }),
    truncate: (size) => storage.truncate(size),
    async reserve(start, end, written) {
      for (let at = start; at < end; at += RESERVE_PART) {
        await checkpoint?.((at - start) / (end - start));
        await storage.reserve(at, Math.min(at + RESERVE_PART, end), written);
      }
    },
    ...(storage.beginSync && { beginSync: storage.beginSync.bind(storage) }),
    sync: () => storage.sync(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}
