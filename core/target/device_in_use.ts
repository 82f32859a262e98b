/**
 * Refuses to write to block devices that the host uses: a mounted file system is destroyed by such writes without a word.
 *
 * @module
 */
import { type DeviceUse, type Files, ImageError, type StoredFile } from "../../formats/mod.ts";
import { deviceUseText } from "../devices.ts";

/**
 * Throws for a block device that is in use: itself, one of its partitions, or a device that is made of them.
 *
 * @returns the storage to write to. Where the kernel did not reserve the device, it checks again before the first write
 * @throws ImageError `refused` also where the host does not report whether the device is in use
 */
export async function refuseDeviceInUse(files: Files, device: StoredFile, path: string): Promise<StoredFile> {
  await check(files, device, path);
  return device.claim === "granted" ? device : checkedBeforeWrite(device, () => check(files, device, path));
}

async function check(files: Files, device: StoredFile, path: string): Promise<void> {
  const uses = await files.deviceUses?.(device) ?? null;
  const why = uses === null ? "the system does not report whether it is in use" : uses.map(deviceUseText).join(", ");
  if (uses !== null && uses.length > 0) throw refused(path, why, remedy(uses));
  if (device.claim === "refused") throw refused(path, "the system or another program has it in use", "stop that first");
  // macOS itself refuses to open a disk for writing while a volume of it is mounted.
  if (uses === null && device.claim === undefined && Deno.build.os !== "darwin") {
    throw refused(path, why, "with --allow-all it can be seen");
  }
}

function refused(path: string, found: string, remedy: string): ImageError {
  const message =
    `Cannot write to the device "${path}": ${found}; ${remedy} (--force-device writes nevertheless, and destroys what is there)`;
  return new ImageError("refused", message, { path });
}

function remedy(uses: readonly DeviceUse[]): string {
  if (uses.some(({ system }) => system)) return "choose another device";
  const verbs = {
    mount: "unmount it",
    btrfs: "unmount it",
    swap: "switch it off with swapoff",
    holder: "stop that",
    loop: "detach that",
  };
  return `${[...new Set(uses.map(({ kind }) => verbs[kind]))].join(", ")} first`;
}

/**
 * Returns the device with a check before its first write. It has no `origin`, so that neither workers nor the host write
 * around the check.
 */
function checkedBeforeWrite(device: StoredFile, check: () => Promise<void>): StoredFile {
  let checked: Promise<void> | undefined;
  const once = () => checked ??= check();
  return {
    get label() {
      return device.label;
    },
    get size() {
      return device.size;
    },
    identity: device.identity,
    isDevice: device.isDevice,
    ...(device.logicalSectorSize !== undefined && { logicalSectorSize: device.logicalSectorSize }),
    startsZeroed: device.startsZeroed,
    get zeroesCheaply() {
      return device.zeroesCheaply;
    },
    ...(device.holeAt && { holeAt: device.holeAt.bind(device) }),
    lock: (exclusive) => device.lock(exclusive),
    readAt: (into, fileOffset) => device.readAt(into, fileOffset),
    async writeAt(from, fileOffset) {
      await once();
      await device.writeAt(from, fileOffset);
    },
    async zeroAt(start, end) {
      await once();
      await device.zeroAt(start, end);
    },
    async truncate(size) {
      await once();
      await device.truncate(size);
    },
    async reserve(start, end, written) {
      await once();
      await device.reserve(start, end, written);
    },
    ...(device.beginSync && { beginSync: device.beginSync.bind(device) }),
    sync: () => device.sync(),
    [Symbol.asyncDispose]: () => device[Symbol.asyncDispose](),
  };
}
