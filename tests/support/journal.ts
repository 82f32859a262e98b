/**
 * Files whose changes are written down, so that a test can stop a job after any of them.
 *
 * @module
 */
import { type Files, hostFiles, MemoryStorage, type StoredFile, type WritableStorage } from "../../formats/mod.ts";
import type { Rng } from "./qemu.ts";

/** One change of a file, or a moment at which all changes before were on stable storage. */
export type Change = "sync" | ((storage: WritableStorage) => Promise<void>);

/** Where changes are written down. */
export interface Journal {
  push(change: Change): void;
}

/** The host's files; every change of the file at `path` goes into the journal. */
export function journaledFiles(path: string): { readonly files: Files; readonly journal: Change[] } {
  const journal: Change[] = [];
  const files: Files = {
    ...hostFiles,
    async open(name, options) {
      const file = await hostFiles.open(name, options);
      return name === path && options?.write === true ? journaledFile(file, journal) : file;
    },
  };
  return { files, journal };
}

/** As {@linkcode journaledStorage}, for a file of the host. */
export function journaledFile(inner: StoredFile, journal: Journal): StoredFile {
  return Object.assign(journaledStorage(inner, journal), {
    identity: inner.identity,
    isDevice: inner.isDevice,
    lock: (exclusive: boolean) => inner.lock(exclusive),
  });
}

/** Passes everything on to `inner`; every change goes into the journal. */
export function journaledStorage(inner: WritableStorage, journal: Journal): WritableStorage {
  const note = (change: Change) => {
    journal.push(change);
    return change === "sync" ? inner.sync() : change(inner);
  };
  return {
    label: inner.label,
    get size() {
      return inner.size;
    },
    startsZeroed: inner.startsZeroed,
    zeroesCheaply: inner.zeroesCheaply,
    readAt: (into, fileOffset) => inner.readAt(into, fileOffset),
    writeAt(from, fileOffset) {
      const bytes = from.slice();
      return note((file) => file.writeAt(bytes, fileOffset));
    },
    zeroAt: (start, end) => note((file) => file.zeroAt(start, end)),
    truncate: (size) => note((file) => file.truncate(size)),
    reserve: (start, end, written) => note((file) => file.reserve(start, end, written)),
    sync: () => note("sync"),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  };
}

/** The file after exactly `count` changes: the program was killed. */
export async function afterKill(start: Uint8Array, journal: readonly Change[], count: number): Promise<Uint8Array> {
  const file = new MemoryStorage(start);
  for (const change of journal.slice(0, count)) if (change !== "sync") await change(file);
  return file.bytes();
}

/** What a power failure after `count` changes may leave: all that was synced, and any of what came after. */
export async function afterPowerCut(
  start: Uint8Array,
  journal: readonly Change[],
  count: number,
  random: Rng,
): Promise<Uint8Array> {
  const file = new MemoryStorage(start);
  const synced = journal.lastIndexOf("sync", count - 1);
  const luck = random.pick([0.05, 0.5, 0.95]);
  for (const [nth, change] of journal.slice(0, count).entries()) {
    if (change !== "sync" && (nth < synced || random.chance(luck))) await change(file);
  }
  return file.bytes();
}
