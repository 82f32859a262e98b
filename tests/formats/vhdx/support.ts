/**
 * What the tests of VHDX share.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Disk, type Extent, MemoryStorage, sameStatus } from "../../../formats/mod.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { run } from "../../support/qemu.ts";
import { MIB } from "./build.ts";

/** Opens bytes. VHDX images name no further files to be opened by the format. */
export function openBytes(bytes: Uint8Array, label = "test.vhdx"): Promise<Disk> {
  return openFrom(new MemoryStorage(bytes, label));
}

/** Opens a storage. */
export function openFrom(storage: MemoryStorage): Promise<Disk> {
  return vhdx.open(storage, {
    ...inlineCodecs,
    openNamed: ({ name }) => Promise.reject(new Error(`The image asked for "${name}"`)),
  });
}

/** All runs as `kind start-end`, neighbours of one status merged, in KiB. */
export async function runLines(disk: Disk): Promise<string[]> {
  const runs: Extent[] = [];
  for (let at = 0; at < disk.size;) {
    const run = await disk.extentAt(at, disk.size);
    const last = runs.at(-1);
    if (last && sameStatus(last, run)) runs[runs.length - 1] = { ...last, end: run.end };
    else runs.push(run);
    at = run.end;
  }
  return runs.map(({ kind, start, end }) => `${kind} ${start / 1024}-${end / 1024}`);
}

/** A block of `length` bytes, all `value`. */
export function filled(value: number, length = 1 << 20): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** Opens the image at `path`; disposing it closes the file. */
export async function pathOpened(path: string): Promise<Disk & AsyncDisposable> {
  const storage = await openFileStorage(path);
  try {
    const disk = await vhdx.open(storage, {
      ...inlineCodecs,
      openNamed: () => Promise.reject(new Error("It names no such file")),
    });
    return { ...disk, [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose]() };
  } catch (error) {
    await storage[Symbol.asyncDispose]();
    throw error;
  }
}

/** SHA-256 of all guest bytes, in hex. */
export async function digestOfDisk(disk: Disk): Promise<string> {
  const hash = createHash("sha256");
  const piece = new Uint8Array(MIB);
  for (let at = 0; at < disk.size;) {
    const run = await disk.extentAt(at, Math.min(at + piece.length, disk.size));
    const part = piece.subarray(0, run.end - run.start);
    if (run.kind === "data") await disk.read(part, at);
    else part.fill(0);
    hash.update(part);
    at = run.end;
  }
  return hash.digest("hex");
}

/** Whether a program is there; says why tests are skipped where it is not. */
export async function canStart(program: string, purpose: string, ...args: string[]): Promise<boolean> {
  try {
    await run(program, args.length > 0 ? args : ["--help"]);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.warn(`${program} is not installed (${purpose}): tests that need it are skipped`);
    return false;
  }
}
