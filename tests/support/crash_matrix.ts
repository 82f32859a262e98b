/**
 * Crashes during a change: the process is killed after each step, or the power fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type Files, MemoryStorage, type WritableStorage } from "../../formats/mod.ts";
import {
  type Content,
  journaledFiles,
  journaledStorage,
  type Leftover,
  leftovers,
  moments,
  type Step,
  stepOf,
} from "./journal.ts";
import { type Rng, rounds, run } from "./qemu.ts";

/** A change of one image, and the checks of what a crash leaves of it. */
export interface CrashCase {
  /** The image; afterwards it has its new content. */
  readonly path: string;
  /** Makes the change. */
  readonly action: (files: Files) => Promise<unknown>;
  /** Must be as before or as after the change: guest bytes, lists. Equal states are equal texts. */
  readonly state: () => Promise<string>;
  /** Checks the file where its bytes may belong to both states; replaces the comparison of `state`. */
  readonly mixed?: (left: Uint8Array) => Promise<void>;
  /** Checks the file after every crash; by default `qemu-img check` must find a qcow2 image without corruptions. */
  readonly assertValid?: (path: string, ended: boolean) => Promise<void>;
  readonly random: Rng;
  /** At most about so many moments are tried; by default more where TEST_SEED is set. */
  readonly most?: number;
}

/** Tries crashes; returns the number of steps of the change. */
export async function tryCrashes(
  { path, action, state, mixed, assertValid = assertValidQcow2, random, most = rounds(36, 60) }: CrashCase,
): Promise<number> {
  const start = await Deno.readFile(path);
  const before = await state();
  const all: Step[] = [];
  await action(journaledFiles(all));
  const journal = all.filter((step) => step.path === path);
  await assertValid(path, true);
  const end = await Deno.readFile(path);
  const after = await state();
  for await (const left of leftovers(new Map([[path, start]]), journal, moments(journal.length, most), random)) {
    const bytes = left.files.get(path)!;
    await Deno.writeFile(path, bytes);
    await assertValid(path, false);
    if (mixed) await mixed(bytes);
    else assertOneOf(await state(), before, after, left, journal.length);
  }
  await Deno.writeFile(path, end);
  return journal.length;
}

/** A change of an image in memory. */
export interface MemoryCrashCase {
  readonly start: Uint8Array;
  readonly action: (storage: WritableStorage) => Promise<unknown>;
  /** As in {@linkcode CrashCase}. */
  readonly state: (storage: MemoryStorage) => Promise<string>;
  readonly random: Rng;
  readonly most?: number;
}

/** Tries crashes during a change of an image in memory; returns the new image. */
export async function tryMemoryCrashes(
  { start, action, state, random, most = 30 }: MemoryCrashCase,
): Promise<MemoryStorage> {
  const before = await state(new MemoryStorage(start));
  const journal: Step[] = [];
  const ended = new MemoryStorage(start);
  await action(journaledStorage(ended, { push: (change) => journal.push(stepOf("", change)) }));
  const after = await state(new MemoryStorage(ended.bytes()));
  for await (const left of leftovers(new Map([["", start]]), journal, moments(journal.length, most), random)) {
    assertOneOf(await state(new MemoryStorage(left.files.get("")!)), before, after, left, journal.length);
  }
  return ended;
}

/** A change of the files of a folder. */
export interface FolderCrashCase {
  /** Its files, which must fit into memory; afterwards they have their new content. */
  readonly folder: string;
  /** Makes the change. */
  readonly action: (files: Files) => Promise<unknown>;
  /** As in {@linkcode CrashCase}; throws where the image is corrupt. */
  readonly state: () => Promise<string>;
  /** Checks a state that is neither the old nor the new one, where both may be mixed. */
  readonly mixed?: (now: string) => void | Promise<void>;
  readonly random: Rng;
  readonly most?: number;
}

/** Tries crashes; returns the number of steps of the change. */
export async function tryFolderCrashes(
  { folder, action, state, mixed, random, most = rounds(36, 60) }: FolderCrashCase,
): Promise<number> {
  const start = await readFolder(folder);
  const before = await state();
  const journal: Step[] = [];
  await action(journaledFiles(journal));
  const end = await readFolder(folder);
  const after = await state();
  for await (const left of leftovers(start, journal, moments(journal.length, most), random)) {
    await writeFolder(folder, left.files);
    const now = await state().catch((error) => {
      throw new Error(`The image is corrupt ${described(left, journal.length)}: ${error.message}`, { cause: error });
    });
    if (mixed === undefined) assertOneOf(now, before, after, left, journal.length);
    else if (now !== before && now !== after) await mixed(now);
  }
  await writeFolder(folder, end);
  return journal.length;
}

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

function assertOneOf(now: string, before: string, after: string, left: Leftover, steps: number): void {
  if (now === before || now === after) return;
  assert.fail(
    `The state is neither the old nor the new one ${described(left, steps)}:\n${now}\nold: ${before}\nnew: ${after}`,
  );
}

const described = ({ count, cause }: Leftover, steps: number) => `after a ${cause} at step ${count} of ${steps}`;

const assertValidQcow2 = (path: string, ended: boolean) => assertCheck(path, ended ? [0] : [0, 3]);

/** Asserts that `qemu-img check` ends with one of `codes`. */
export async function assertCheck(path: string, codes: readonly number[]): Promise<void> {
  const { code, stdout, stderr } = await run("qemu-img", ["check", "-f", "qcow2", path], { cwd: dirname(path) });
  assert(codes.includes(code), `qemu-img check ended with ${code}:\n${stdout}${stderr}`);
}
