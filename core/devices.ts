/**
 * The block devices of the host.
 *
 * @module
 */
import { type BlockDevice, blockDevices, type DeviceUse, ImageError } from "../formats/mod.ts";

/**
 * Lists the block devices of the host that have content: size, model, bus, partitions, and how they are used. Linux states
 * all of it, macOS the names, Windows nothing.
 *
 * @throws ImageError `permission` unless Deno has allowed everything, which it demands for /dev, /proc and /sys
 *
 * @example
 * ```ts
 * import { listDevices } from "./devices.ts";
 * import assert from "node:assert/strict";
 *
 * for (const { path, partitions } of await listDevices()) {
 *   assert.ok(path.startsWith("/dev/") && Array.isArray(partitions));
 * }
 * ```
 */
export async function listDevices(): Promise<readonly BlockDevice[]> {
  const devices = await blockDevices();
  if (devices !== null) return devices;
  const message = "Cannot list devices: Deno reads /sys and /proc, and opens devices, only with all permissions, " +
    "add --allow-all";
  throw new ImageError("permission", message);
}

/** Returns a use of a device as words: `sda1 is mounted at "/mnt"`. */
export function deviceUseText({ device, kind, name = "", holder, system }: DeviceUse): string {
  const ofSystem = system ? ", the running system" : "";
  switch (kind) {
    case "mount":
      return `${device} is mounted at "${name}"${ofSystem}`;
    case "btrfs":
      return `${device} belongs to a mounted btrfs`;
    case "swap":
      return `${device} is swap space`;
    case "loop":
      return `${device} is attached to ${name}`;
    case "holder":
      return `${device} is in use by ${holder} (${name})`;
  }
}
