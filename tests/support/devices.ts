/**
 * Block devices for tests: a made-up /sys and /proc, files that count as devices, and loop devices of the host.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type DeviceUse, type Files, hostFiles, type StoredFile } from "../../formats/mod.ts";
import { run, type Scratch, scratch } from "./qemu.ts";

/** Files and folders (`null`) of a made-up host, by path; a value that begins with `->` makes a symbolic link. */
export type HostTree = { readonly [path: string]: string | null };

/** Writes a made-up host below `root`. */
export async function writeHost(root: string, tree: HostTree): Promise<void> {
  for (const [path, content] of Object.entries(tree)) {
    const whole = root + path;
    await Deno.mkdir(content === null ? whole : dirname(whole), { recursive: true });
    if (content?.startsWith("->")) await Deno.symlink(content.slice(2), whole);
    else if (content !== null) await Deno.writeTextFile(whole, `${content}\n`);
  }
}

/** Returns the files of a disk in /sys; `extra`: further files of its folder. Sizes are sectors of 512 bytes. */
export function diskTree(name: string, bus: string, number: string, size: number, extra: HostTree = {}): HostTree {
  const folder = `/sys/devices/${bus}/block/${name}`;
  const own: HostTree = { "/dev": number, "/size": String(size), "/removable": "0", "/ro": "0", "/holders": null };
  return {
    [`/sys/block/${name}`]: `->../devices/${bus}/block/${name}`,
    ...Object.fromEntries(Object.entries({ ...own, ...extra }).map(([path, text]) => [folder + path, text])),
  };
}

/** Returns the files of a partition, for {@linkcode diskTree}. Start and size are sectors of 512 bytes. */
export function partitionTree(name: string, number: string, start: number, size: number): HostTree {
  const own = { partition: name.replace(/^.*\D/, ""), dev: number, start: String(start), size: String(size) };
  return {
    ...Object.fromEntries(Object.entries(own).map(([file, text]) => [`/${name}/${file}`, text])),
    [`/${name}/holders`]: null,
  };
}

/** The files of the host, where those that `isDevice` chooses are block devices that `uses` says are used. */
export function filesWithDevices(
  isDevice: (path: string) => boolean,
  uses: () => readonly DeviceUse[] | null,
  claim?: StoredFile["claim"],
): Files {
  return {
    ...hostFiles,
    async open(path, options) {
      const file = await hostFiles.open(path, options);
      return isDevice(path) ? asDevice(file, claim) : file;
    },
    deviceUses: () => Promise.resolve(uses()),
  };
}

/** Returns a view of a file as a block device; `claim`: the answer of the kernel, absent where it cannot be asked. */
function asDevice(file: StoredFile, claim: StoredFile["claim"]): StoredFile {
  return new Proxy(file, {
    get(target, name) {
      if (name === "claim") return claim;
      if (name === "isDevice") return true;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Attaches a file to a loop device until it is disposed. */
export async function loopDevice(path: string): Promise<AsyncDisposable & { readonly path: string }> {
  const made = await run("losetup", ["--find", "--show", path]);
  if (made.code !== 0) throw new Error(made.stderr);
  const device = made.stdout.trim();
  return {
    path: device,
    [Symbol.asyncDispose]: async () => assert.equal((await run("losetup", ["--detach", device])).code, 0),
  };
}

/** Mounts a new ext4 file system on a device until it is disposed. */
export async function mountedExt4(
  device: string,
  folder: Scratch,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = folder.file("mounted");
  await Deno.mkdir(path);
  for (const [command, args] of [["mkfs.ext4", ["-q", device]], ["mount", [device, path]]] as const) {
    const made = await run(command, [...args]);
    if (made.code !== 0) throw new Error(`${command}: ${made.stderr}`);
  }
  return { path, [Symbol.asyncDispose]: async () => assert.equal((await run("umount", [path])).code, 0) };
}

/** Returns why loop devices cannot be attached and mounted here; `null` where they can. */
export async function whyNoLoopDevice(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "they are written for Linux";
  if (Deno.uid() !== 0) return "they need a superuser";
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(8 << 20));
  try {
    await using device = await loopDevice(folder.file("a"));
    await using _mounted = await mountedExt4(device.path, folder);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error);
  }
}
