/**
 * What the wizard does with files: looks at the source, plans, and asks for permissions in its own words before Deno
 * does. It writes nothing.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { ImageError, jobFiles, openDisk, planConversion } from "../../mod.ts";
import type { ConversionPlan, ConvertJob, JobFiles } from "../../mod.ts";
import type { BrokenSource, SourceFacts } from "./wizard.ts";

/** A permission of Deno that is not there yet. */
export interface Wanted {
  readonly name: "read" | "write";
  readonly path: string;
  /** What for, in words. */
  readonly why: string;
}

/** What the wizard needs of the host. Tests hand in another. */
export interface WizardHost {
  /** Asks for what is missing; `false`: Deno or the user said no. */
  allow(wanted: readonly Wanted[]): Promise<boolean>;
  /** Opens a source, its chain and all, and closes it again. Throws where there is nothing to be told of it. */
  inspect(path: string): Promise<SourceFacts | BrokenSource>;
  plan(job: ConvertJob): Promise<{ readonly plan: ConversionPlan; readonly warnings: readonly string[] }>;
  files(job: ConvertJob): Promise<JobFiles>;
  /** Whether something has this name; `false` also where that may not be looked at. */
  exists(path: string): boolean;
  /** Free bytes where `path` will be; absent where that is not known. */
  freeSpace(path: string): Promise<number | undefined>;
  /** Names that begin with `typed`, folders with a separator at the end; only where that may be listed. */
  complete(typed: string): readonly string[];
}

/** Longer chains are not followed while looking for permissions; opening refuses them anyway. */
const CHAIN_MAX = 64;

/** The host itself. `explain` hears of permissions before Deno asks for them. */
export function wizardHost(explain: (wanted: readonly Wanted[]) => void): WizardHost {
  const allow = async (wanted: readonly Wanted[]): Promise<boolean> => {
    const missing = wanted.filter((one) => !granted(one));
    if (missing.length === 0) return true;
    explain(missing);
    for (const { name, path } of missing) {
      if ((await Deno.permissions.request({ name, path })).state !== "granted") return false;
    }
    return true;
  };
  return {
    allow,
    async inspect(path) {
      const { layers, next } = await lookDown(path, allow);
      try {
        return await inspectSource(path);
      } catch (error) {
        if (!(error instanceof ImageError) || layers.length === 0 || next === null) throw error;
        return { layers, missing: next, fault: error.message };
      }
    },
    async plan(job) {
      const warnings: string[] = [];
      const plan = await planConversion(job, { onWarning: (message) => warnings.push(message) });
      return { plan, warnings };
    },
    files: (job) => jobFiles(job),
    exists,
    freeSpace,
    complete,
  };
}

function granted({ name, path }: Pick<Wanted, "name" | "path">): boolean {
  return Deno.permissions.querySync({ name, path }).state === "granted";
}

/** The layers that could be opened, and what lies beneath the last of them. */
interface Look {
  readonly layers: SourceFacts["layers"];
  readonly next: string | null;
}

/** Opens one layer of a chain after the other, having asked for each. What cannot be found is left to the real opening. */
async function lookDown(path: string, allow: WizardHost["allow"]): Promise<Look> {
  const layers: SourceFacts["layers"][number][] = [];
  let next: string | null = path;
  while (next !== null && layers.length < CHAIN_MAX) {
    const why = layers.length === 0 ? "to read the source" : `to read what lies beneath "${path}"`;
    if (!await allow([{ name: "read", path: next, why }])) throw refused(next);
    const layer: Layer | null = await layerAt(next);
    if (layer === null) break;
    layers.push({ path: next, format: layer.format, size: layer.size });
    next = layer.beneath === null ? null : resolve(dirname(next), layer.beneath);
  }
  return { layers, next };
}

interface Layer {
  readonly format: string;
  readonly size: number;
  /** As the image names it. */
  readonly beneath: string | null;
}

async function layerAt(path: string): Promise<Layer | null> {
  try {
    await using opened = await openDisk({ path, backing: null });
    const { disk } = opened.layers[0]!;
    return { format: disk.format, size: disk.size, beneath: disk.backing?.name || null };
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}

function refused(path: string): ImageError {
  return new ImageError("permission", `Cannot read "${path}": Deno was not allowed to`, { path });
}

async function inspectSource(path: string): Promise<SourceFacts> {
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
  return { format: layers[0]!.format, size: disk.size, allocated, layers, snapshots };
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

/** More names than this are too many to choose from. */
const NAMES_MAX = 200;

function complete(typed: string): readonly string[] {
  const cut = Math.max(typed.lastIndexOf("/"), Deno.build.os === "windows" ? typed.lastIndexOf("\\") : -1) + 1;
  const [folder, begin] = [typed.slice(0, cut), typed.slice(cut)];
  if (!granted({ name: "read", path: resolve(folder || ".") })) return [];
  const names: string[] = [];
  try {
    for (const entry of Deno.readDirSync(folder || ".")) {
      if (!entry.name.startsWith(begin) || (begin === "" && entry.name.startsWith("."))) continue;
      names.push(folder + entry.name + (entry.isDirectory ? "/" : ""));
      if (names.length === NAMES_MAX) break;
    }
  } catch {
    return [];
  }
  return names.sort();
}

/** What a job needs, in words. The folder of the target is written: its file appears there under another name first. */
export function wantedFor(files: JobFiles, target: string): Wanted[] {
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

/** The target's own path, which is looked at before it is planned. */
export function targetWanted(path: string): Wanted[] {
  return [{ name: "read", path: resolve(path), why: "to see whether the new file's name is taken" }];
}
