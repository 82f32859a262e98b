/**
 * Files whose changes are recorded, and the content that a crash during these changes may leave.
 *
 * @module
 */
import { type Files, hostFiles, MemoryStorage, type StoredFile, type WritableStorage } from "../../formats/mod.ts";
import { fingerprint } from "./model.ts";
import type { Rng } from "./qemu.ts";

/** One change of a file, or a request that all earlier changes reach stable storage. */
export type Change = "sync" | ((storage: WritableStorage) => Promise<void>);

/** One step of a job on several files, in the order of the job. */
export type Step =
  | { readonly action: "change"; readonly path: string; readonly change: Exclude<Change, "sync"> }
  | { readonly action: "sync" | "create" | "remove"; readonly path: string }
  | { readonly action: "rename"; readonly path: string; readonly to: string };

/** Receives the changes of one file. */
export interface Journal {
  push(change: Change): void;
}

/** The host's files; `journal` receives every step of every file. */
export function journaledFiles(journal: Step[]): Files {
  return {
    async open(path, options) {
      const file = await hostFiles.open(path, options);
      return options?.write === true ? journaledFile(file, path, journal) : file;
    },
    async create(path, options) {
      const file = await hostFiles.create(path, options);
      journal.push({ action: "create", path });
      return journaledFile(file, path, journal);
    },
    async rename(path, to) {
      await hostFiles.rename(path, to);
      journal.push({ action: "rename", path, to });
    },
    async remove(path) {
      await hostFiles.remove(path);
      journal.push({ action: "remove", path });
    },
  };
}

function journaledFile(inner: StoredFile, path: string, journal: Step[]): StoredFile {
  return Object.assign(journaledStorage(inner, { push: (change) => journal.push(stepOf(path, change)) }), {
    identity: inner.identity,
    isDevice: inner.isDevice,
    lock: (exclusive: boolean) => inner.lock(exclusive),
  });
}

/** Passes everything on to `inner`; `journal` receives every change. */
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

/** A change of the file at `path` as a step. */
export function stepOf(path: string, change: Change): Step {
  return change === "sync" ? { action: "sync", path } : { action: "change", path, change };
}

/** Numbers of steps, ascending, after which a crash is tried: at most about `most`, evenly spread, and the last 12. */
export function moments(steps: number, most = steps + 1): number[] {
  const every = Math.ceil((steps + 1) / most);
  return Array.from({ length: steps + 1 }, (_, count) => count)
    .filter((count) => count % every === 0 || count > steps - 12);
}

/** The content of files by path. */
export type Content = ReadonlyMap<string, Uint8Array>;

/** The files after a crash. */
export interface Leftover {
  /** The number of steps before the crash. */
  readonly count: number;
  readonly cause: "kill" | "power cut";
  /** Valid until the next leftover is asked for. */
  readonly files: Content;
}

/**
 * Replays `journal` on `start` and yields what a crash leaves after each of `counts` (ascending) steps. A killed job
 * leaves exactly these steps (left out with `kills` false); a power cut leaves every change that was synced and a random
 * part of the others. Content that was yielded before is left out: it can only be judged in the same way.
 */
export async function* leftovers(
  start: Content,
  journal: readonly Step[],
  counts: readonly number[],
  random: Rng,
  kills = true,
): AsyncGenerator<Leftover> {
  const isNew = firstTimes();
  const killed = storages(start);
  // Every change before `settled` was synced.
  const stable = storages(start);
  let [done, settled] = [0, 0];
  for (const count of counts) {
    const steps = journal.slice(done, count);
    for (const step of steps) await apply(step, killed);
    done = count;
    if (kills && (count === 0 || steps.some(({ action }) => action !== "sync"))) {
      const files = contentOf(killed);
      if (isNew(files)) yield { count, cause: "kill", files };
    }
    const luck = random.pick([0.05, 0.5, 0.95]);
    const unsynced = firstUnsynced(journal, count);
    for (const step of journal.slice(settled, unsynced)) await apply(step, stable);
    settled = unsynced;
    const kept = journal.slice(settled, count).filter((step, nth) =>
      step.action !== "change" || settled + nth < syncedOf(journal, count, step.path) || random.chance(luck)
    );
    // Where nothing is lost, this is what a kill leaves.
    if (kills && kept.length === count - settled) continue;
    const cut = storages(contentOf(stable));
    for (const step of kept) await apply(step, cut);
    const left = contentOf(cut);
    if (isNew(left)) yield { count, cause: "power cut", files: left };
  }
}

/** The index of the last sync of `path` among the first `count` steps; -1 without one. */
function syncedOf(journal: readonly Step[], count: number, path: string): number {
  for (let nth = count - 1; nth >= 0; nth--) {
    const step = journal[nth];
    if (step.action === "sync" && step.path === path) return nth;
  }
  return -1;
}

/** The index of the first change that a power cut after `count` steps may undo; `count` without one. */
function firstUnsynced(journal: readonly Step[], count: number): number {
  const synced = new Set<string>();
  let first = count;
  for (let nth = count - 1; nth >= 0; nth--) {
    const { action, path } = journal[nth];
    if (action === "sync") synced.add(path);
    else if (action === "change" && !synced.has(path)) first = nth;
  }
  return first;
}

async function apply(step: Step, files: Map<string, MemoryStorage>): Promise<void> {
  if (step.action === "create") files.set(step.path, new MemoryStorage());
  else if (step.action === "remove") files.delete(step.path);
  else if (step.action === "rename") {
    files.set(step.to, files.get(step.path)!);
    files.delete(step.path);
  } else if (step.action === "change") await step.change(files.get(step.path)!);
}

function storages(content: Content): Map<string, MemoryStorage> {
  return new Map([...content].map(([path, bytes]) => [path, new MemoryStorage(bytes)]));
}

function contentOf(files: ReadonlyMap<string, MemoryStorage>): Content {
  return new Map([...files].map(([path, file]) => [path, file.bytes()]));
}

/** Returns a function that reports whether it is given this content for the first time. */
function firstTimes(): (files: Content) => boolean {
  const seen = new Set<string>();
  return (files) => {
    const text = [...files].map(([path, bytes]) => `${path}\0${fingerprint(bytes)}`).sort().join("\0");
    const isNew = !seen.has(text);
    seen.add(text);
    return isNew;
  };
}
