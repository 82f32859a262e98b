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

/** Returns all extents as `kind start-end`, neighbours of one status merged, in KiB. */
export async function extentLines(disk: Disk): Promise<string[]> {
  const extents: Extent[] = [];
  for (let at = 0; at < disk.size;) {
    const extent = await disk.extentAt(at, disk.size);
    const last = extents.at(-1);
    if (last && sameStatus(last, extent)) extents[extents.length - 1] = { ...last, end: extent.end };
    else extents.push(extent);
    at = extent.end;
  }
  return extents.map(({ kind, start, end }) => `${kind} ${start / 1024}-${end / 1024}`);
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
    const extent = await disk.extentAt(at, Math.min(at + piece.length, disk.size));
    const part = piece.subarray(0, extent.end - extent.start);
    if (extent.kind === "data") await disk.read(part, at);
    else part.fill(0);
    hash.update(part);
    at = extent.end;
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
