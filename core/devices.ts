/**
 * The block devices of the host.
 *
 * @module
 */
import { basename, type BlockDevice, blockDevices, type DeviceUse, deviceUses, ImageError } from "../formats/mod.ts";

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

/** A block device, or a partition of one, as the target of a job. */
export interface DeviceTarget {
  /** Such as `sdb`: the name of its node, after links. */
  readonly name: string;
  /** Device node, after links. */
  readonly path: string;
  /** Bytes; absent where the host does not report them. */
  readonly size?: number;
  /** The disk: itself, or that which it is a partition of. Absent where the host does not list it. */
  readonly disk?: BlockDevice;
  /** Its uses, see {@linkcode DeviceUse}; `null` where the host does not report them. */
  readonly uses: readonly DeviceUse[] | null;
}

/**
 * Returns the block device at `path`; `null` where there is none, or something else.
 *
 * @throws ImageError as {@linkcode listDevices}, for a block device
 *
 * @example
 * ```ts
 * import { deviceAt } from "./devices.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(await deviceAt("README.md"), null);
 * ```
 */
export async function deviceAt(path: string): Promise<DeviceTarget | null> {
  let node: string;
  let number: number | null;
  try {
    const found = await Deno.stat(path);
    if (!found.isBlockDevice) return null;
    [node, number] = [await Deno.realPath(path), found.rdev];
  } catch {
    return null;
  }
  const devices = await listDevices();
  const disk = devices.find((one) => one.path === node || one.partitions.some((part) => part.path === node));
  const size = disk?.path === node ? disk.size : disk?.partitions.find((part) => part.path === node)?.size;
  return {
    name: basename(node),
    path: node,
    ...(size !== undefined && { size }),
    ...(disk && { disk }),
    uses: number === null ? null : await deviceUses(number),
  };
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
