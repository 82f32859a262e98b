/**
 * The storage of a target with the sync mode of its job and background writeback, in short steps.
 *
 * @module
 */
import type { HostCopy, Storage, WritableStorage } from "../../formats/mod.ts";
import type { SyncMode } from "../job.ts";

/** Bytes that are reserved between two checkpoints: reserving a disk may take minutes. */
const RESERVE_PART = 256 << 20;

/** Written bytes after which background writeback starts. */
const WRITEBACK_BYTES = 32 << 20;

/** Options of {@linkcode targetStorage}. */
export interface TargetStorageOptions {
  readonly sync: SyncMode;
  /** Awaited between parts of long operations, with the share that is done; throws where the job is cancelled. */
  readonly checkpoint?: ((share?: number) => Promise<void>) | undefined;
}

/** Returns `storage` with a sync mode, background writeback and checkpoints. */
export function targetStorage(storage: WritableStorage, { sync, checkpoint }: TargetStorageOptions): WritableStorage {
  const copyFrom = storage.copyFrom?.bind(storage);
  let unsynced = 0;
  const written = async (bytes: number) => {
    if (sync === "always") return await storage.sync();
    unsynced += bytes;
    if (sync === "never" || unsynced < WRITEBACK_BYTES) return;
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
    ...(storage.logicalSectorSize !== undefined && { logicalSectorSize: storage.logicalSectorSize }),
    readAt: (into, fileOffset) => storage.readAt(into, fileOffset),
    ...(storage.holeAt && { holeAt: storage.holeAt.bind(storage) }),
    async writeAt(from, fileOffset) {
      await storage.writeAt(from, fileOffset);
      await written(from.length);
    },
    async zeroAt(start, end) {
      await storage.zeroAt(start, end);
      await written(0);
    },
    // Workers that open the file by themselves do not sync after every write.
    ...(sync !== "always" && storage.origin && { origin: storage.origin }),
    noteWritten(start, end) {
      storage.noteWritten?.(start, end);
      void written(end - start);
    },
    ...(storage.mayShareWith && { mayShareWith: storage.mayShareWith.bind(storage) }),
    ...(copyFrom && {
      async copyFrom(source: Storage, start: number, end: number, fileOffset: number, how: HostCopy) {
        const copied = await copyFrom(source, start, end, fileOffset, how);
        await written(copied);
        return copied;
      },
    }),
    truncate: (size) => storage.truncate(size),
    async reserve(start, end, byWriting) {
      for (let at = start; at < end; at += RESERVE_PART) {
        await checkpoint?.((at - start) / (end - start));
        await storage.reserve(at, Math.min(at + RESERVE_PART, end), byWriting);
      }
    },
    ...(storage.beginSync && { beginSync: storage.beginSync.bind(storage) }),
    sync: () => storage.sync(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}
