/**
 * The files that a job writes. Each is written beside its place under a temporary name, synced and renamed at the end:
 * under its own name there is either the old file or the complete new one.
 *
 * @module
 */
import {
  dirname,
  type Files,
  heldByQemu,
  hostError,
  ImageError,
  permissionFlag,
  resolve,
  type StoredFile,
  syncFolder,
  type WritableStorage,
} from "../../formats/mod.ts";
import type { SyncMode } from "../job.ts";
import { fileKey } from "../open/open.ts";
import { partName } from "./part_name.ts";

/** The files of one job. Disposed before {@linkcode commit}: everything new is removed, everything old is as it was. */
export interface OutputFiles extends AsyncDisposable {
  /**
   * Starts a new file at `path`, or takes the device that is there.
   *
   * @throws ImageError `refused` if the file there is in use or is one of `sources`
   */
  create(path: string): Promise<WritableStorage>;
  /** Opens the existing file at `path` for changes in place. It is never removed. */
  edit(path: string): Promise<StoredFile>;
  /** The file or device that is changed in place, if there is one: a failure leaves it half changed. */
  readonly inPlace: string | undefined;
  /** The pipe that is written, if there is one: it takes only what comes from front to end. */
  readonly pipe: string | undefined;
  /** Makes everything durable (unless `sync` is `never`) and visible; the file created first appears last. */
  commit(sync: SyncMode): Promise<void>;
}

/** A file under its temporary name; `part === path` where it could not have one. */
interface Pending {
  readonly path: string;
  /** Whether an old file of its name gives way. */
  readonly replaces?: boolean;
  readonly part: string;
  readonly storage: StoredFile;
  readonly inPlace: boolean;
  readonly isPipe?: boolean;
}

/** Paths of the files that a job reads, by {@linkcode fileKey}. */
export type SourceFiles = ReadonlyMap<string, string>;

/**
 * The files of a job that reads `sources`.
 *
 * @param signal ends the waiting for the reader of a pipe
 */
export function outputFiles(files: Files, sources: SourceFiles, signal?: AbortSignal): OutputFiles {
  const pending: Pending[] = [];
  const guards: StoredFile[] = [];
  return {
    async create(path) {
      const { entry, guard } = await begin(files, path, sources, pending.map((one) => one.path), signal);
      pending.push(entry);
      if (guard) guards.push(guard);
      return entry.storage;
    },
    async edit(path) {
      const storage = await files.open(path, { write: true });
      pending.push({ path, part: path, storage, inPlace: true });
      refuseSource(storage, path, sources);
      await takeAlone(storage, path, "change");
      return storage;
    },
    get inPlace() {
      return pending.find((entry) => entry.inPlace)?.path;
    },
    get pipe() {
      return pending.find((entry) => entry.isPipe)?.path;
    },
    async commit(sync) {
      if (sync !== "never") { for (const { storage } of pending) await storage.sync(); }
      for (const guard of guards.splice(0)) await guard[Symbol.asyncDispose]();
      await publishAll(files, pending, sync);
    },
    async [Symbol.asyncDispose]() {
      for (const { storage, part, inPlace } of pending.splice(0)) {
        const ours = !inPlace && await isStillNamed(storage, part);
        await storage[Symbol.asyncDispose]();
        if (ours) await files.remove(part).catch(() => {});
      }
      for (const guard of guards.splice(0)) await guard[Symbol.asyncDispose]();
    },
  };
}

async function begin(
  files: Files,
  given: string,
  sources: SourceFiles,
  taken: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ entry: Pending; guard?: StoredFile }> {
  refuseTaken(given, taken);
  // A pipe has neither another name nor an old content.
  const pipe = await mayRead(given) ? await files.pipe?.(given, signal) : null;
  if (pipe) return { entry: { path: given, part: given, storage: pipe, inPlace: true, isPipe: true } };
  if (!await mayRead(given) || !await mayRead(partName(given))) return { entry: await beginUnseen(files, given) };
  const path = await realTarget(given);
  refuseTaken(path, taken);
  const guard = await openExisting(files, path, sources);
  if (guard?.isDevice) return { entry: { path, part: path, storage: guard, inPlace: true } };
  const part = partName(path);
  try {
    const storage = await createPart(files, path, part, sources);
    try {
      if (guard) await keepAccess(path, part);
    } catch (error) {
      await storage[Symbol.asyncDispose]();
      await files.remove(part).catch(() => {});
      throw error;
    }
    return { entry: { path, part, storage, inPlace: false, replaces: guard !== undefined }, ...(guard && { guard }) };
  } catch (error) {
    await guard?.[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Deno renames only what it may read. Where it may not, a file that does not exist yet is written under its own name and
 * removed if anything fails; an existing one would be lost, so it is refused.
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

/** The most links that are followed, as on Linux. */
const MAX_LINKS = 40;

/** Where `path` leads: links are followed, so that a link to a file stays one, also where the file is still to come. */
async function realTarget(path: string, links = 0): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || links === MAX_LINKS) throw hostError(error, "find", path);
  }
  try {
    return await realTarget(resolve(dirname(path), await Deno.readLink(path)), links + 1);
  } catch (error) {
    // Neither a file nor a link: it is to be made here.
    if (error instanceof ImageError) throw error;
    return path;
  }
}

/** The new file belongs to whom the old one did: who may read that may read this one, and nobody else. */
async function keepAccess(path: string, part: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  try {
    const old = await Deno.stat(path);
    const sameGroup = await keepOwner(part, old);
    if (old.mode !== null) await Deno.chmod(part, old.mode & (sameGroup ? 0o777 : 0o707));
  } catch (error) {
    throw hostError(error, "keep the access rights of", path);
  }
}

/** Gives a file to the owner and the group of `old`, or to the group alone; returns whether it has that. */
async function keepOwner(part: string, { uid, gid }: Deno.FileInfo): Promise<boolean> {
  const now = await Deno.stat(part);
  if (now.uid === uid && now.gid === gid) return true;
  // Only root may give a file away; others may give it to a group that they are in.
  for (const owner of [uid, now.uid]) {
    try {
      await Deno.chown(part, owner, gid);
      return true;
    } catch (error) {
      // Some file systems know no owners.
      if (error instanceof Deno.errors.NotCapable) throw error;
    }
  }
  return now.gid === gid;
}

/** The file that is about to be replaced, locked as long as the job runs; the device that is about to be written. */
async function openExisting(files: Files, path: string, sources: SourceFiles): Promise<StoredFile | undefined> {
  let storage: StoredFile;
  try {
    storage = await files.open(path, { write: true });
  } catch (error) {
    if (error instanceof ImageError && error.kind === "missing") return undefined;
    throw error;
  }
  try {
    refuseSource(storage, path, sources);
    await takeAlone(storage, path, storage.isDevice ? "change" : "replace");
    return storage;
  } catch (error) {
    await storage[Symbol.asyncDispose]();
    throw error;
  }
}

/** Locks a file that is to be changed or replaced; a virtual machine would lose what it writes, or read what is torn. */
async function takeAlone(storage: StoredFile, path: string, use: "change" | "replace"): Promise<void> {
  await storage.lock(true);
  if (!await heldByQemu(path, use)) return;
  const message = `Cannot ${use} "${path}": a virtual machine, or another program of QEMU, has it open; stop it first`;
  throw new ImageError("refused", message, { path });
}

/** Of the files of one image, each needs its own: one would replace the other. */
function refuseTaken(path: string, taken: readonly string[]): void {
  if (!taken.includes(path)) return;
  const message = `Cannot write "${path}": two files of the new image have this name; give the other file another one`;
  throw new ImageError("usage", message, { path });
}

function refuseSource(storage: StoredFile, path: string, sources: SourceFiles): void {
  const source = sources.get(fileKey(storage, path));
  if (source === undefined) return;
  const also = source === path
    ? "it is read by the same job"
    : `it is the same file as "${source}", which the job reads`;
  throw new ImageError("refused", `Cannot write "${path}": ${also}; give the target another name`, { path });
}

/** Creates the temporary file. One that a killed run has left is removed first; one in use is left alone. */
async function createPart(files: Files, path: string, part: string, sources: SourceFiles): Promise<StoredFile> {
  await removeStale(files, path, part, sources);
  const storage = await files.create(part).catch((error) => {
    throw isRefused(error) ? otherRun(path, part, error) : inTermsOf(error, path, part);
  });
  try {
    await storage.lock(true);
    if (!await isStillNamed(storage, part)) throw otherRun(path, part);
    return storage;
  } catch (error) {
    // What has the name now is another run's.
    await storage[Symbol.asyncDispose]();
    throw isRefused(error) ? otherRun(path, part, error) : error;
  }
}

/** The user knows the target's name, not that of the file beside it. */
function inTermsOf(error: unknown, path: string, part: string): unknown {
  if (!(error instanceof ImageError)) return error;
  const message = error.kind === "permission" && error.cause instanceof Deno.errors.NotCapable
    ? `Cannot create "${path}": it is written under another name beside its place, so Deno must be allowed to write ` +
      `its folder, add ${permissionFlag("write", dirname(path))}`
    : error.message.replace(part, () => path);
  return new ImageError(error.kind, message, { path, cause: error });
}

/**
 * Whether the file still has its name. Between creating a file and locking it, a run that began at the same moment may
 * have taken it for one that a killed run had left, and put its own in its place; later, any program may.
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
    // What else is in the way keeps its own name in the message: the user must take it away.
    throw error instanceof ImageError && error.kind === "permission" ? inTermsOf(error, path, part) : error;
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof ImageError && error.kind === "refused";
}

/** Gives complete files their names, last first; takes away again what is new where one of them cannot have its name. */
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

/** Gives a complete file its name. */
async function publish(files: Files, entry: Pending, sync: SyncMode): Promise<void> {
  const { path, part, storage } = entry;
  if (part !== path) {
    if (!await isStillNamed(storage, part)) {
      const message = `Cannot complete "${path}": another program has removed or replaced "${part}" meanwhile`;
      throw new ImageError("refused", message, { path });
    }
    await files.rename(part, path);
    // The new name is durable only once the folder is. Where the host does not let a folder be synced, syncing the file
    // again carries the rename along on the usual journalling file systems.
    if (sync !== "never" && !await syncFolder(dirname(path))) await storage.sync();
  }
  await storage[Symbol.asyncDispose]();
}
