/**
 * The file access of the wizard: opens the source, plans, and explains each permission before Deno prompts for it. It
 * writes nothing.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { deviceAt, ImageError, jobFiles, listDevices, openDisk, planConversion } from "../../mod.ts";
import type { BlockDevice, ConversionPlan, ConvertJob, JobFiles } from "../../mod.ts";
import { contentsOf } from "../destinations/contents.ts";
import type { BrokenSource, SourceInfo, TargetDevice } from "./answers.ts";

/** A permission of Deno that the wizard needs. */
export interface NeededPermission {
  readonly name: "read" | "write";
  readonly path: string;
  /** The purpose, in words. */
  readonly why: string;
}

/** The host of the wizard. Tests pass in another. */
export interface WizardHost {
  /** Requests the permissions that are missing; `false`: denied. */
  request(needed: readonly NeededPermission[]): Promise<boolean>;
  /** Opens a source with its backing chain and closes it again. Throws where not even the top layer can be opened. */
  inspect(path: string): Promise<SourceInfo | BrokenSource>;
  plan(job: ConvertJob): Promise<{ readonly plan: ConversionPlan; readonly warnings: readonly string[] }>;
  files(job: ConvertJob): Promise<JobFiles>;
  /** Whether a file has this name; `false` also without the permission to read it. */
  exists(path: string): boolean;
  /** Returns the block device at a path; `null`: there is none. Throws where Deno does not let the program see its use. */
  device(path: string): Promise<TargetDevice | null>;
  /** Returns the disks of the machine; `null` without the permission. */
  devices(): Promise<readonly BlockDevice[] | null>;
  /** Returns the free bytes of the file system of `path`; `undefined` where unknown. */
  freeSpace(path: string): Promise<number | undefined>;
  /** Returns the names that begin with `typed`, folders with a separator at the end; empty without the permission. */
  complete(typed: string): readonly string[];
}

/** Longer chains are not followed for permissions; opening refuses them anyway. */
const CHAIN_MAX = 64;

/** Returns the host of this process. `explain` is called with permissions before Deno prompts for them. */
export function wizardHost(explain: (needed: readonly NeededPermission[]) => void): WizardHost {
  const request = async (needed: readonly NeededPermission[]): Promise<boolean> => {
    const missing = needed.filter((one) => !granted(one));
    if (missing.length === 0) return true;
    explain(missing);
    for (const { name, path } of missing) {
      if ((await Deno.permissions.request({ name, path })).state !== "granted") return false;
    }
    return true;
  };
  return {
    request,
    async inspect(path) {
      const { layers, next } = await openChain(path, request);
      try {
        return await inspectSource(path);
      } catch (error) {
        if (!(error instanceof ImageError) || layers.length === 0 || next === null) throw error;
        return { layers, missing: next, error: error.message };
      }
    },
    async plan(job) {
      const warnings: string[] = [];
      const plan = await planConversion(job, { onWarning: (message) => warnings.push(message) });
      return { plan, warnings };
    },
    files: (job) => jobFiles(job),
    exists,
    device: targetDevice,
    devices: () => listDevices().catch(() => null),
    freeSpace,
    complete,
  };
}

function granted({ name, path }: Pick<NeededPermission, "name" | "path">): boolean {
  return Deno.permissions.querySync({ name, path }).state === "granted";
}

/** The layers that could be opened, from the top down, and the backing file of the last of them. */
interface Chain {
  readonly layers: SourceInfo["layers"];
  readonly next: string | null;
}

/** Opens the layers of a chain one by one, after a request for each. Stops at one that cannot be opened. */
async function openChain(path: string, request: WizardHost["request"]): Promise<Chain> {
  const layers: SourceInfo["layers"][number][] = [];
  let next: string | null = path;
  while (next !== null && layers.length < CHAIN_MAX) {
    const why = layers.length === 0 ? "to read the source" : `to read a backing file of "${path}"`;
    if (!await request([{ name: "read", path: next, why }])) throw permissionError(next);
    const layer: Layer | null = await openLayer(next);
    if (layer === null) break;
    layers.push({ path: next, format: layer.format, size: layer.size });
    next = layer.backing === null ? null : resolve(dirname(next), layer.backing);
  }
  return { layers, next };
}

interface Layer {
  readonly format: string;
  readonly size: number;
  /** The backing file, as the image names it. */
  readonly backing: string | null;
}

async function openLayer(path: string): Promise<Layer | null> {
  try {
    await using opened = await openDisk({ path, backing: null });
    const { disk } = opened.layers[0]!;
    return { format: disk.format, size: disk.size, backing: disk.backing?.name || null };
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}

function permissionError(path: string): ImageError {
  return new ImageError("permission", `Cannot read "${path}": Deno was not allowed to`, { path });
}

async function inspectSource(path: string): Promise<SourceInfo> {
  await using disk = await openDisk(path);
  const layers = disk.layers.map((layer) => ({
    path: layer.path,
    format: layer.disk.format,
    size: layer.disk.size,
  }));
  const found = disk.layers[0]!.disk.info["snapshots"];
  const snapshots = (Array.isArray(found) ? found : []).map((one) => ({ id: String(one.id), name: String(one.name) }));
  let allocated = 0;
  for (const layer of layers) {
    const { size, blocks } = await Deno.stat(layer.path);
    allocated += blocks === null ? size : blocks * 512;
  }
  const contents = await contentsOf(disk);
  return {
    format: layers[0]!.format,
    size: disk.size,
    allocated,
    layers,
    snapshots,
    // The conversion meets a read error itself.
    ...(typeof contents !== "string" && { contents }),
  };
}

/** Returns the block device at a path with its present contents. */
async function targetDevice(path: string): Promise<TargetDevice | null> {
  const device = await deviceAt(path);
  if (device === null) return null;
  try {
    await using disk = await openDisk({ path: device.path, format: "raw" });
    const contents = await contentsOf(disk);
    return { ...device, ...(typeof contents !== "string" && { contents }) };
  } catch (error) {
    // A device that cannot be read may be written.
    if (error instanceof ImageError) return device;
    throw error;
  }
}

function exists(path: string): boolean {
  if (!granted({ name: "read", path: resolve(path) })) return false;
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function freeSpace(path: string): Promise<number | undefined> {
  const folder = dirname(resolve(path));
  if (Deno.permissions.querySync({ name: "sys", kind: "statfs" }).state !== "granted") return undefined;
  if (!granted({ name: "read", path: folder })) return undefined;
  try {
    const { statfs } = await import("node:fs/promises");
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** Most names to choose from. */
const NAMES_MAX = 200;

function complete(typed: string): readonly string[] {
  const cut = Math.max(typed.lastIndexOf("/"), Deno.build.os === "windows" ? typed.lastIndexOf("\\") : -1) + 1;
  const [folder, begin] = [typed.slice(0, cut), typed.slice(cut)];
  if (!granted({ name: "read", path: resolve(folder || ".") })) return [];
  const names: string[] = [];
  try {
    for (const entry of Deno.readDirSync(folder || ".")) {
      // U+FFFD may stand for bytes that are not UTF-8: such a file cannot be named.
      if (entry.name.includes("\ufffd")) continue;
      if (!entry.name.startsWith(begin) || (begin === "" && entry.name.startsWith("."))) continue;
      names.push(folder + entry.name + (entry.isDirectory ? "/" : ""));
      if (names.length === NAMES_MAX) break;
    }
  } catch {
    return [];
  }
  return names.sort();
}

/** Returns the permissions of a job. The folder of the target is written: the file has a temporary name there first. */
export function permissionsFor(files: JobFiles, target: string): NeededPermission[] {
  const folder = dirname(resolve(target));
  return [
    ...files.read.map((path) => ({
      name: "read" as const,
      path,
      why: dirname(path) === folder && path !== resolve(target) ? "to put the new file in place" : "to read it",
    })),
    ...files.write.map((path) => ({ name: "write" as const, path, why: "to write the new file there" })),
  ];
}

/** Returns the permission to look for the target's name, before the job is planned. */
export function targetPermission(path: string): NeededPermission[] {
  return [{ name: "read", path: resolve(path), why: "to see whether the new file's name is taken" }];
}
