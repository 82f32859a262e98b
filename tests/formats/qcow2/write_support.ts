/**
 * Helpers of the tests that write qcow2: checks of an image by qemu-img.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { assertBytes, type Image } from "../../support/model.ts";
import { readSparse, run, type Scratch } from "../../support/qemu.ts";

/** Writes an image, its named files and its backing file into `folder`. Returns the path of the image. */
export async function save(image: Image, folder: Scratch, backing: Uint8Array | null = null): Promise<string> {
  await Deno.writeFile(folder.file("image.qcow2"), image.storage.bytes());
  for (const [name, storage] of image.named) await Deno.writeFile(folder.file(name), storage.bytes());
  if (backing !== null) await Deno.writeFile(folder.file("backing.raw"), backing);
  return folder.file("image.qcow2");
}

/** Asserts that `qemu-img check` finds neither errors nor leaks. */
export async function assertClean(path: string): Promise<void> {
  // qemu-img looks for a data file in the current folder.
  const { code, stdout, stderr } = await run("qemu-img", ["check", path], { cwd: dirname(path) });
  assert.equal(code, 0, `qemu-img check ended with ${code}:\n${stdout}${stderr}`);
}

/** Returns the guest bytes of the disk, or of a snapshot, as qemu-img reads them. */
export async function judgedBytes(path: string, snapshot?: string): Promise<Uint8Array> {
  const raw = `${path}.guest`;
  const chosen = snapshot === undefined ? [] : ["-l", snapshot];
  const args = ["convert", "-f", "qcow2", "-O", "raw", ...chosen, path, raw];
  const { code, stderr } = await run("qemu-img", args, { cwd: dirname(path) });
  assert.equal(code, 0, stderr);
  return await readSparse(raw);
}

/** Asserts that qemu-img finds the image clean and reads `model` in it. */
export async function assertJudged(path: string, model: Uint8Array): Promise<void> {
  await assertClean(path);
  assertBytes(await judgedBytes(path), model);
}
