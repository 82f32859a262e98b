/**
 * The files of the host. The modules that open files are imported when one is opened.
 *
 * @module
 */
import type { BlockDevice, DeviceUse } from "./block_devices.ts";
import type { ImageUse } from "./host.ts";
import { hostError } from "./host_error.ts";
import type { Files, StoredFile } from "./types.ts";

/**
 * The file system of the host.
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
  create: async (path, options) => (await import("./file.ts")).createFileStorage(path, options),
  async pipe(path, signal) {
    return await isPipe(path) ? (await import("./pipe.ts")).pipeStorage(path, signal) : null;
  },
  deviceUses: async ({ identity }) => identity?.device === undefined ? null : await deviceUses(identity.device),
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

/** Returns whether `path` is a pipe: a named pipe, or `/dev/stdout` where standard output is a pipe. */
async function isPipe(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFifo === true;
  } catch {
    // Opening the path reports the error.
    return false;
  }
}

/** Returns how the block device of a number is used; `null` where the host does not report it. */
export async function deviceUses(device: number): Promise<DeviceUse[] | null> {
  return (await import("./block_devices.ts")).deviceUses(device);
}

/** Returns the block devices with content; `null` without the permission to look. */
export async function blockDevices(): Promise<BlockDevice[] | null> {
  return (await import("./block_devices.ts")).blockDevices();
}

/** Returns whether QEMU has the image open in a way that excludes this use; `null` where the host does not report it. */
export async function heldByQemu(path: string, use: ImageUse): Promise<boolean | null> {
  return (await import("./host.ts")).heldByQemu(path, use);
}

/** Syncs the directory entries of a folder; returns whether that was possible. */
export async function syncFolder(path: string): Promise<boolean> {
  return (await import("./host.ts")).syncFolder(path);
}

/** Gives the file `to` the owner, the group and the access rights of `from`. */
export async function copyAccess(from: StoredFile, to: StoredFile): Promise<void> {
  (await import("./access.ts")).copyAccess(from, to);
}
