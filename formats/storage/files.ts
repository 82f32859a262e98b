/**
 * The host's files. What opens them is loaded when one is opened.
 *
 * @module
 */
import type { ImageUse } from "./host.ts";
import { hostError } from "./host_error.ts";
import type { Files } from "./types.ts";

/**
 * Files as Deno reaches them.
 *
 * @example
 * ```ts
 * import { hostFiles } from "./files.ts";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(hostFiles.open("no such file"), { kind: "missing" });
 * ```
 */
export const hostFiles: Files = {
  open: async (path, options) => (await import("./file.ts")).openFileStorage(path, options),
  create: async (path) => (await import("./file.ts")).createFileStorage(path),
  async pipe(path, signal) {
    return await isPipe(path) ? (await import("./pipe.ts")).pipeStorage(path, signal) : null;
  },
  async rename(from, to) {
    try {
      await Deno.rename(from, to);
    } catch (error) {
      throw hostError(error, `rename "${from}" to`, to);
    }
  },
  async remove(path) {
    try {
      await Deno.remove(path);
    } catch (error) {
      throw hostError(error, "remove", path);
    }
  },
};

/** Whether `path` leads to a pipe: a named one, or standard output where that is one (`/dev/stdout`). */
async function isPipe(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFifo === true;
  } catch {
    // Whoever opens it tells what is wrong.
    return false;
  }
}

/** Whether QEMU has the image open in a way that forbids this use of it, as far as the host can tell. */
export async function heldByQemu(path: string, use: ImageUse): Promise<boolean | null> {
  return (await import("./host.ts")).heldByQemu(path, use);
}

/** Puts the names in a folder on stable storage; returns whether that could be done. */
export async function syncFolder(path: string): Promise<boolean> {
  return (await import("./host.ts")).syncFolder(path);
}
