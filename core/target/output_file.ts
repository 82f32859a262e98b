/**
 * The files that a job writes. Each is written in its folder under a temporary name, then synced and renamed: under its
 * own name there is always the old file or the complete new one.
 *
 * @module
 */
import {
  copyAccess,
  dirname,
  type Files,
  heldByQemu,
  hostError,
  ImageError,
  permissionFlag,
  resolve,
  type StoredFile,
  syncFolder,
} from "../../formats/mod.ts";
import type { SyncMode } from "../job.ts";
import { fileKey } from "../open/open.ts";
import type { AttributedFile } from "./file_options.ts";
import { partName } from "./part_name.ts";

/** The output files of one job. Disposed before {@linkcode commit}, it removes new files and leaves old ones as they were. */
export interface OutputFiles extends AsyncDisposable {
  /**
   * Creates a file that appears at `path` on commit, or opens the device at `path`.
   *
   * @throws ImageError `refused` if the file there is in use or is one of `sources`
   */
  create(path: string): Promise<AttributedFile>;
  /** Opens the existing file at `path` for changes in place. */
  edit(path: string): Promise<StoredFile>;
  /** The file or device that is changed in place; a failure leaves it incomplete. */
  readonly inPlace: string | undefined;
  /** The pipe that is written: it takes bytes only in ascending order. */
  readonly pipe: string | undefined;
  /** Syncs all files (unless `sync` is `never`), and gives them their names; the file created first is renamed last. */
  commit(sync: SyncMode): Promise<void>;
}

/** A file under its temporary name `part`; `part === path`: it has none. */
interface Pending {
  readonly path: string;
  /** Whether it replaces an old file. */
  readonly replaces?: boolean;
  readonly part: string;
  readonly storage: StoredFile;
  readonly inPlace: boolean;
  readonly isPipe?: boolean;
}

/** Settings of {@linkcode outputFiles}. */
export interface OutputOptions {
  /** Aborts waiting for the reader of a pipe. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a block device is written although it is in use: what is on it is lost. */
  readonly forceDevice?: boolean | undefined;
}

/** Paths of the files that a job reads, by {@linkcode fileKey}. */
export type SourceFiles = ReadonlyMap<string, string>;

/** Returns the output files of a job that reads `sources`. */
export function outputFiles(files: Files, sources: SourceFiles, options: OutputOptions = {}): OutputFiles {
  const exclusive = !options.forceDevice;
  const pending: Pending[] = [];
  /** Old files, locked until they are replaced. */
  const oldFiles: StoredFile[] = [];
  return {
    async create(path) {
      const { entry, oldFile } = await begin(files, path, sources, pending.map((one) => one.path), options);
      pending.push(entry);
      if (oldFile) oldFiles.push(oldFile);
      return entry.storage;
    },
    async edit(path) {
      const opened = await files.open(path, { write: true, exclusive });
      const entry = { path, part: path, storage: opened, inPlace: true };
      pending.push(entry);
      refuseSource(opened, path, sources);
      await lockAlone(opened, path, "change");
      entry.storage = await checkDevice(files, opened, path, options);
      return entry.storage;
    },
    get inPlace() {
      return pending.find((entry) => entry.inPlace)?.path;
    },
    get pipe() {
      return pending.find((entry) => entry.isPipe)?.path;
    },
    async commit(sync) {
      if (sync !== "never") { for (const { storage } of pending) await storage.sync(); }
      for (const file of oldFiles.splice(0)) await file[Symbol.asyncDispose]();
      await publishAll(files, pending, sync);
    },
    async [Symbol.asyncDispose]() {
      for (const { storage, part, inPlace } of pending.splice(0)) {
        const ours = !inPlace && await isStillNamed(storage, part);
        await storage[Symbol.asyncDispose]();
        if (ours) await files.remove(part).catch(() => {});
      }
      for (const file of oldFiles.splice(0)) await file[Symbol.asyncDispose]();
    },
  };
}

/** Opens or creates the file for `given`; `oldFile`: the file that it replaces. */
async function begin(
  files: Files,
  given: string,
  sources: SourceFiles,
  taken: readonly string[],
  options: OutputOptions,
): Promise<{ entry: Pending; oldFile?: StoredFile }> {
  refuseTaken(given, taken);
  // A pipe is written under its own name.
  const pipe = await mayRead(given) ? await files.pipe?.(given, options.signal) : null;
  if (pipe) return { entry: { path: given, part: given, storage: pipe, inPlace: true, isPipe: true } };
  if (!await mayRead(given) || !await mayRead(partName(given))) return { entry: await beginUnseen(files, given) };
  const path = await realTarget(given);
  refuseTaken(path, taken);
  const oldFile = await openExisting(files, path, sources, options);
  if (oldFile?.isDevice) return { entry: { path, part: path, storage: oldFile, inPlace: true } };
  const part = partName(path);
  try {
    // A user who may not read the old file must not read the new one before it has the rights of the old one.
    const storage = await createPart(files, path, part, sources, oldFile !== undefined);
    try {
      if (oldFile) await copyAccess(oldFile, storage);
    } catch (error) {
      await storage[Symbol.asyncDispose]();
      await files.remove(part).catch(() => {});
      throw error;
    }
    return {
      entry: { path, part, storage, inPlace: false, replaces: oldFile !== undefined },
      ...(oldFile && { oldFile }),
    };
  } catch (error) {
    await oldFile?.[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Creates a file under its own name, where Deno has no read permission and cannot rename. A failure removes it; an existing
 * file would be lost and is refused.
 */
async function beginUnseen(files: Files, path: string): Promise<Pending> {
  try {
    return { path, part: path, storage: await files.create(path), inPlace: false };
  } catch (error) {
    if (!(error instanceof ImageError && error.kind === "refused")) throw error;
    const flag = permissionFlag("read", dirname(path));
    const message = `Cannot replace "${path}": Deno must be allowed to read its folder, to write the new file beside ` +
      `the old one and to rename it when it is complete; add ${flag}`;
    throw new ImageError("permission", message, { path, cause: error });
  }
}

async function mayRead(path: string): Promise<boolean> {
  return (await Deno.permissions.query({ name: "read", path })).state === "granted";
}

/** Most symbolic links that are followed, as on Linux. */
const MAX_LINKS = 40;

/** Follows symbolic links, so that a link stays one. The last file need not exist. */
async function realTarget(path: string, links = 0): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || links === MAX_LINKS) throw hostError(error, "find", path);
  }
  try {
    return await realTarget(resolve(dirname(path), await Deno.readLink(path)), links + 1);
  } catch (error) {
    // Neither a file nor a link.
    if (error instanceof ImageError) throw error;
    return path;
  }
}

/** Opens and locks the file that is to be replaced, or the device that is to be written; `undefined` where none exists. */
async function openExisting(
  files: Files,
  path: string,
  sources: SourceFiles,
  options: OutputOptions,
): Promise<StoredFile | undefined> {
  let storage: StoredFile;
  try {
    storage = await files.open(path, { write: true, exclusive: !options.forceDevice });
  } catch (error) {
    if (error instanceof ImageError && error.kind === "missing") return undefined;
    throw error;
  }
  try {
    refuseSource(storage, path, sources);
    await lockAlone(storage, path, storage.isDevice ? "change" : "replace");
    return await checkDevice(files, storage, path, options);
  } catch (error) {
    await storage[Symbol.asyncDispose]();
    throw error;
  }
}

/** Returns the storage to write to; throws for a block device that is in use, unless the user forces it. */
async function checkDevice(
  files: Files,
  storage: StoredFile,
  path: string,
  { forceDevice }: OutputOptions,
): Promise<StoredFile> {
  if (!storage.isDevice || forceDevice) return storage;
  return await (await import("./device_in_use.ts")).refuseDeviceInUse(files, storage, path);
}

/** Takes an exclusive lock, and throws `refused` for a file that QEMU has open: it would lose writes or read torn data. */
async function lockAlone(storage: StoredFile, path: string, use: "change" | "replace"): Promise<void> {
  await storage.lock(true);
  if (!await heldByQemu(path, use)) return;
  const message = `Cannot ${use} "${path}": a virtual machine, or another program of QEMU, has it open; stop it first`;
  throw new ImageError("refused", message, { path });
}

/** Throws where another file of the same image has this path: one would replace the other. */
function refuseTaken(path: string, taken: readonly string[]): void {
  if (!taken.includes(path)) return;
  const message = `Cannot write "${path}": two files of the new image have this name; give the other file another one`;
  throw new ImageError("usage", message, { path });
}

/** Throws where the job reads the file. */
function refuseSource(storage: StoredFile, path: string, sources: SourceFiles): void {
  const source = sources.get(fileKey(storage, path));
  if (source === undefined) return;
  const also = source === path
    ? "it is read by the same job"
    : `it is the same file as "${source}", which the job reads`;
  throw new ImageError("refused", `Cannot write "${path}": ${also}; give the target another name`, { path });
}

/** Creates and locks the temporary file. One that a killed run has left is removed first; one in use is an error. */
async function createPart(
  files: Files,
  path: string,
  part: string,
  sources: SourceFiles,
  ownerOnly: boolean,
): Promise<StoredFile> {
  await removeStale(files, path, part, sources);
  const storage = await files.create(part, { ownerOnly }).catch((error) => {
    throw isRefused(error) ? otherRun(path, part, error) : asErrorOfPath(error, path, part);
  });
  try {
    await storage.lock(true);
    if (!await isStillNamed(storage, part)) throw otherRun(path, part);
    return storage;
  } catch (error) {
    // Another run owns the file that has the name now.
    await storage[Symbol.asyncDispose]();
    throw isRefused(error) ? otherRun(path, part, error) : error;
  }
}

/** Returns an error about the temporary file as one about `path`, the name that the user gave. */
function asErrorOfPath(error: unknown, path: string, part: string): unknown {
  if (!(error instanceof ImageError)) return error;
  const message = error.kind === "permission" && error.cause instanceof Deno.errors.NotCapable
    ? `Cannot create "${path}": it is written under another name beside its place, so Deno must be allowed to write ` +
      `its folder, add ${permissionFlag("write", dirname(path))}`
    : error.message.replace(part, () => path);
  return new ImageError(error.kind, message, { path, cause: error });
}

/**
 * Returns whether the file still has its name. Between creation and lock, a run that started at the same moment may have
 * removed it as left by a killed run, and created its own; later, any program may.
 */
async function isStillNamed({ identity }: StoredFile, part: string): Promise<boolean> {
  if (identity === null) return true;
  const found = await Deno.stat(part).catch(() => null);
  return found?.ino === identity.ino && found.dev === identity.dev;
}

function otherRun(path: string, part: string, cause?: unknown): ImageError {
  const message = `Cannot write "${path}": another run is writing it ("${part}" is in use)`;
  return new ImageError("refused", message, { path, cause });
}

async function removeStale(files: Files, path: string, part: string, sources: SourceFiles): Promise<void> {
  try {
    await using stale = await files.open(part, { write: true });
    refuseSource(stale, part, sources);
    await stale.lock(true).catch((error) => {
      throw isRefused(error) ? otherRun(path, part, error) : error;
    });
    await files.remove(part);
  } catch (error) {
    if (error instanceof ImageError && error.kind === "missing") return;
    // Otherwise the message keeps the temporary name: the user must remove that file.
    throw error instanceof ImageError && error.kind === "permission" ? asErrorOfPath(error, path, part) : error;
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof ImageError && error.kind === "refused";
}

/** Renames complete files, the last first. Removes new ones again where a rename fails. */
async function publishAll(files: Files, pending: Pending[], sync: SyncMode): Promise<void> {
  const appeared: string[] = [];
  try {
    while (pending.length > 0) {
      const last = pending[pending.length - 1];
      await publish(files, last, sync);
      pending.pop();
      if (!last.inPlace && !last.replaces) appeared.push(last.path);
    }
  } catch (error) {
    for (const path of appeared) await files.remove(path).catch(() => {});
    throw error;
  }
}

/** Renames a complete file and closes it. */
async function publish(files: Files, entry: Pending, sync: SyncMode): Promise<void> {
  const { path, part, storage } = entry;
  if (part !== path) {
    if (!await isStillNamed(storage, part)) {
      const message = `Cannot complete "${path}": another program has removed or replaced "${part}" meanwhile`;
      throw new ImageError("refused", message, { path });
    }
    await files.rename(part, path);
    // The rename is durable once the folder is synced. Where the host cannot sync folders, syncing the file again commits the
    // rename on the usual journalling file systems.
    if (sync !== "never" && !await syncFolder(dirname(path)).catch((error) => asUnsynced(error, path))) {
      await storage.sync();
    }
  }
  await storage[Symbol.asyncDispose]();
}

function asUnsynced(error: unknown, path: string): never {
  const why = error instanceof Error ? error.message : String(error);
  const message = `"${path}" is complete and has its name, but a power failure may undo that: ${why}`;
  throw new ImageError("io", message, { path, cause: error });
}
