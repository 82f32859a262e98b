/**
 * The file access of the wizard: opens the source, plans, and explains each permission before Deno prompts for it. It
 * writes nothing.
 *
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { deviceAt, ImageError, jobFiles, listDevices, openDisk, planConversion } from "../../mod.ts";
import type { BlockDevice, ConversionPlan, ConvertJob, JobFiles } from "../../mod.ts";
import { contentsOf } from "../destinations/contents.ts";
import { isSet } from "../process.ts";
import type { BrokenSource, SourceInfo, TargetDevice } from "./answers.ts";

const WINDOWS = Deno.build.os === "windows";

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
  /** Returns the permissions that were denied. Deno keeps a denial until the process ends. */
  denied(): readonly NeededPermission[];
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
  /** Returns what has this name; `unknown` without the permission to read it. */
  kind(path: string): "file" | "folder" | "missing" | "unknown";
  /** Returns the names in a folder, in order, folders with a separator at the end; empty without the permission. */
  names(folder: string): readonly string[];
  /** Makes a folder and those above it, after a request. Throws where that fails. */
  makeFolder(path: string): Promise<void>;
  /** The home folder of the user; `undefined` where the environment cannot be read without a request. */
  readonly home: string | undefined;
  /** Returns the name of the destination that was chosen last; `undefined` where it is not remembered. */
  lastDestination(): string | undefined;
  /** Remembers a destination, where the permissions are granted already. */
  rememberDestination(name: string): void;
}

/** Longer chains are not followed for permissions; opening refuses them anyway. */
const CHAIN_MAX = 64;

/** Returns the host of this process. `explain` is called with permissions before Deno prompts for them. */
export function wizardHost(explain: (needed: readonly NeededPermission[]) => void): WizardHost {
  const denials = new Map<string, NeededPermission>();
  const request = async (needed: readonly NeededPermission[]): Promise<boolean> => {
    const missing = needed.filter((one) => !granted(one));
    if (missing.length === 0) return true;
    const open = missing.filter((one) => stateOf(one) === "prompt");
    if (open.length > 0) explain(open);
    for (const one of missing) {
      const { name, path } = one;
      if ((await Deno.permissions.request({ name, path })).state === "granted") continue;
      denials.set(`${name} ${path}`, one);
      return false;
    }
    return true;
  };
  return {
    request,
    denied: () => [...denials.values()],
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
    kind,
    names,
    async makeFolder(path) {
      const needed = { name: "write", path: resolve(path), why: "to make this folder" } as const;
      if (!await request([needed])) throw new ImageError("permission", `Cannot make the folder "${path}"`, { path });
      await Deno.mkdir(path, { recursive: true });
    },
    home: homeFolder(),
    lastDestination,
    rememberDestination,
  };
}

function granted(needed: Pick<NeededPermission, "name" | "path">): boolean {
  return stateOf(needed) === "granted";
}

function stateOf({ name, path }: Pick<NeededPermission, "name" | "path">): Deno.PermissionState {
  return Deno.permissions.querySync({ name, path }).state;
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
  const warnings: string[] = [];
  await using disk = await openDisk(path, { onWarning: (message) => warnings.push(message) });
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
    warnings,
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

/** Most names of a folder that are looked at. */
const NAMES_MAX = 10_000;

function names(folder: string): readonly string[] {
  if (!granted({ name: "read", path: resolve(folder || ".") })) return [];
  const found: string[] = [];
  try {
    for (const entry of Deno.readDirSync(folder || ".")) {
      // U+FFFD may stand for bytes that are not UTF-8: such a file cannot be named.
      if (entry.name.includes("\ufffd")) continue;
      found.push(entry.name + (isFolder(folder, entry) ? "/" : ""));
      if (found.length === NAMES_MAX) break;
    }
  } catch {
    return [];
  }
  return found.sort();
}

function isFolder(folder: string, { name, isDirectory, isSymlink }: Deno.DirEntry): boolean {
  return isDirectory || isSymlink && kind(folder + name) === "folder";
}

function kind(path: string): "file" | "folder" | "missing" | "unknown" {
  if (!granted({ name: "read", path: resolve(path) })) return "unknown";
  try {
    return Deno.statSync(path).isDirectory ? "folder" : "file";
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "missing" : "unknown";
  }
}

function environment(variable: string): string | undefined {
  return isSet(variable) ? Deno.env.get(variable) : undefined;
}

function homeFolder(): string | undefined {
  return environment(WINDOWS ? "USERPROFILE" : "HOME");
}

/** Returns the file that remembers the last destination; `undefined` where its name or the file cannot be used. */
function memoryFile(): string | undefined {
  const home = homeFolder();
  const folder = WINDOWS
    ? environment("LOCALAPPDATA")
    : environment("XDG_STATE_HOME") ?? (home === undefined ? undefined : join(home, ".local", "state"));
  if (folder === undefined) return undefined;
  const path = join(folder, "diskcast", "wizard.json");
  const own = dirname(path);
  const allowed = (["read", "write"] as const).every((name) => granted({ name, path: own }));
  return allowed ? path : undefined;
}

function lastDestination(): string | undefined {
  const path = memoryFile();
  try {
    const found = path === undefined ? undefined : JSON.parse(Deno.readTextFileSync(path))?.destination;
    return typeof found === "string" ? found : undefined;
  } catch {
    return undefined;
  }
}

function rememberDestination(name: string): void {
  const path = memoryFile();
  if (path === undefined) return;
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeTextFileSync(path, `${JSON.stringify({ destination: name })}\n`);
  } catch {
    // The next run has another order of choices: no reason to fail.
  }
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
