/**
 * A crash at every moment of a change that may touch several files: the program killed after each step, or the power
 * cut.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Files, hostFiles, MemoryStorage, type StoredFile } from "../../formats/mod.ts";
import { type Change, journaledFile } from "./journal.ts";
import type { Rng } from "./qemu.ts";

/** One step of a change, in the order in which they were made. */
type Step =
  | { readonly action: "change"; readonly path: string; readonly change: Exclude<Change, "sync"> }
  | { readonly action: "sync" | "create" | "remove"; readonly path: string }
  | { readonly action: "rename"; readonly path: string; readonly to: string };

/** What a test says of a change. */
export interface FolderCrashCase {
  /** Its files, which must fit into memory; they are left in their new state. */
  readonly folder: string;
  /** Makes the change. */
  readonly action: (files: Files) => Promise<unknown>;
  /** What must be as before or as after the change; throws where the image is not sound. */
  readonly state: () => Promise<string>;
  /** Looks at a state between, where one may be of both; throws where it may not. */
  readonly mixed?: (now: string) => void | Promise<void>;
  readonly random: Rng;
  /** At most so many moments are tried. */
  readonly most?: number;
}

/** Tries crashes. Returns how many steps the change had. */
export async function tryFolderCrashes(test: FolderCrashCase): Promise<number> {
  const { folder, action, state, mixed, random, most = 60 } = test;
  const start = await readFolder(folder);
  const before = await state();
  const journal: Step[] = [];
  await action(journaledFiles(journal));
  const end = await readFolder(folder);
  const after = await state();
  for (const count of moments(journal.length, most)) {
    for (const luck of [1, random.pick([0.05, 0.5, 0.95])]) {
      await writeFolder(folder, await replay(start, journal, count, luck, random));
      const told = `after ${count} of ${journal.length} steps, ${luck === 1 ? "killed" : "power cut"}`;
      const now = await state().catch((error) => {
        throw new Error(`The image is not sound ${told}: ${error.message}`, { cause: error });
      });
      if (now === before || now === after) continue;
      if (mixed) await mixed(now);
      else assert.fail(`The state is neither the old nor the new one ${told}:\n${now}\nold: ${before}\nnew: ${after}`);
    }
  }
  await writeFolder(folder, end);
  return journal.length;
}

/** All moments, or as many as are wanted: the last ones, and others evenly. */
function moments(steps: number, most: number): number[] {
  const every = Math.ceil((steps + 1) / most);
  return Array.from({ length: steps + 1 }, (_, count) => count)
    .filter((count) => count % every === 0 || count > steps - 12);
}

type Content = ReadonlyMap<string, Uint8Array>;

async function readFolder(folder: string): Promise<Content> {
  const content = new Map<string, Uint8Array>();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) content.set(`${folder}/${name}`, await Deno.readFile(`${folder}/${name}`));
  }
  return content;
}

async function writeFolder(folder: string, content: Content): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && !content.has(`${folder}/${name}`)) await Deno.remove(`${folder}/${name}`);
  }
  for (const [path, bytes] of content) await Deno.writeFile(path, bytes);
}

/** The files after `count` steps. What came after the last sync of a file is there with the probability `luck`. */
async function replay(start: Content, journal: readonly Step[], count: number, luck: number, random: Rng) {
  const files = new Map([...start].map(([path, bytes]) => [path, new MemoryStorage(bytes)]));
  const done = journal.slice(0, count);
  const syncedOf = (path: string) => done.findLastIndex((step) => step.action === "sync" && step.path === path);
  for (const [nth, step] of done.entries()) {
    if (step.action === "create") files.set(step.path, new MemoryStorage());
    else if (step.action === "remove") files.delete(step.path);
    else if (step.action === "rename") {
      files.set(step.to, files.get(step.path)!);
      files.delete(step.path);
    } else if (step.action === "change" && (nth < syncedOf(step.path) || luck === 1 || random.chance(luck))) {
      await step.change(files.get(step.path)!);
    }
  }
  return new Map([...files].map(([path, file]) => [path, file.bytes()]));
}

function journaledFiles(journal: Step[]): Files {
  return {
    async open(path, options) {
      const file = await hostFiles.open(path, options);
      return options?.write === true ? journaled(file, path, journal) : file;
    },
    async create(path) {
      const file = await hostFiles.create(path);
      journal.push({ action: "create", path });
      return journaled(file, path, journal);
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

function journaled(inner: StoredFile, path: string, journal: Step[]): StoredFile {
  return journaledFile(inner, {
    push: (change) => journal.push(change === "sync" ? { action: "sync", path } : { action: "change", path, change }),
  });
}
