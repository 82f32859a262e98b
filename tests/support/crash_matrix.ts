/**
 * A crash at every moment of a change: the program killed after each write, or the power cut.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type Files, MemoryStorage, type WritableStorage } from "../../formats/mod.ts";
import { afterKill, afterPowerCut, type Change, journaledFiles, journaledStorage } from "./journal.ts";
import { type Rng, run } from "./qemu.ts";

/** What a test says of a change. */
export interface CrashCase {
  /** The image that is changed; it is left in its new state. */
  readonly path: string;
  /** Makes the change. */
  readonly action: (files: Files) => Promise<unknown>;
  /** What must be as before or as after the change: guest bytes, lists. Equal values are equal texts. */
  readonly state: () => Promise<string>;
  /** Whether bytes may be of both states, which is for the caller to look at: called for every moment. */
  readonly mixed?: (left: Uint8Array) => Promise<void>;
  /** What must hold of the file at every moment; default: that `qemu-img check` takes it for a sound qcow2 image. */
  readonly sound?: (path: string, ended: boolean) => Promise<void>;
  readonly random: Rng;
  /** At most so many moments are tried. */
  readonly most?: number;
}

/** Tries crashes; the file holds the new state afterwards. Returns how many changes the file saw. */
export async function tryCrashes(
  { path, action, state, mixed, sound = soundQcow2, random, most = 60 }: CrashCase,
): Promise<number> {
  const start = await Deno.readFile(path);
  const before = await state();
  const { files, journal } = journaledFiles(path);
  await action(files);
  await sound(path, true);
  const end = await Deno.readFile(path);
  const after = await state();
  for (const count of moments(journal, most)) {
    for (
      const left of [await afterKill(start, journal, count), await afterPowerCut(start, journal, count, random)]
    ) {
      await Deno.writeFile(path, left);
      await sound(path, false);
      if (mixed) await mixed(left);
      else {
        const now = await state();
        assert(now === before || now === after, `after ${count} of ${journal.length} changes the state is neither`);
      }
    }
  }
  await Deno.writeFile(path, end);
  return journal.length;
}

/** What an image in memory is put through. */
export interface MemoryCrashCase {
  readonly start: Uint8Array;
  readonly action: (storage: WritableStorage) => Promise<unknown>;
  /** As in {@linkcode CrashCase}. */
  readonly state: (storage: MemoryStorage) => Promise<string>;
  readonly random: Rng;
  readonly most?: number;
}

/** Tries crashes during a change of an image in memory. Returns the new image. */
export async function tryMemoryCrashes(
  { start, action, state, random, most = 30 }: MemoryCrashCase,
): Promise<MemoryStorage> {
  const before = await state(new MemoryStorage(start));
  const journal: Change[] = [];
  const ended = new MemoryStorage(start);
  await action(journaledStorage(ended, journal));
  const after = await state(new MemoryStorage(ended.bytes()));
  for (const count of moments(journal, most)) {
    for (const how of [afterKill, afterPowerCut]) {
      const now = await state(new MemoryStorage(await how(start, journal, count, random)));
      const told = `${how.name} after ${count} of ${journal.length} changes: the state is neither`;
      assert(now === before || now === after, `${told}\nnow    ${now}\nbefore ${before}\nafter  ${after}`);
    }
  }
  return ended;
}

const soundQcow2 = (path: string, ended: boolean) => assertCheck(path, ended ? [0] : [0, 3]);

/** All moments, or as many as are wanted: the last ones, and others evenly. */
function moments(journal: readonly Change[], most: number): number[] {
  const all = Array.from({ length: journal.length + 1 }, (_, count) => count);
  const step = Math.ceil(all.length / most);
  return all.filter((count) => count % step === 0 || count > all.length - 12);
}

/** `qemu-img check` must end with one of `codes`. */
export async function assertCheck(path: string, codes: readonly number[]): Promise<void> {
  const { code, stdout, stderr } = await run("qemu-img", ["check", "-f", "qcow2", path], { cwd: dirname(path) });
  assert(codes.includes(code), `qemu-img check ended with ${code}:\n${stdout}${stderr}`);
}
