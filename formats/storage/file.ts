/**
 * Opens and creates files and block devices as storage.
 *
 * @module
 */
import { ImageError } from "../errors.ts";
import { FileStorage, type OpenHandles } from "./file_storage.ts";
import { type FileIdentity, openHostFile } from "./host.ts";
import { hostError } from "./host_error.ts";

export type { FileStorage };

/** Options of {@linkcode openFileStorage}. */
export interface OpenFileOptions {
  /** Also open for writing. The file is opened for reading in any case. */
  readonly write?: boolean;
  /** Reserve a block device for this program, where the host can; see `StoredFile.claim`. */
  readonly exclusive?: boolean;
}

/**
 * Opens an existing file or block device.
 *
 * Deno asks for read access to `path`, and for write access with `write`. It opens devices only with all permissions.
 *
 * @throws ImageError `missing`, `permission`; `refused` for a folder, a pipe, a socket or a character device; `io`
 *
 * @example
 * ```ts
 * import { openFileStorage } from "./file.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile();
 * await Deno.writeFile(path, new Uint8Array([1, 2, 3]));
 * {
 *   await using storage = await openFileStorage(path);
 *   const bytes = new Uint8Array(2);
 *   await storage.readAt(bytes, 1);
 *   assert.deepEqual([...bytes], [2, 3]);
 * }
 * await Deno.remove(path);
 * ```
 */
export async function openFileStorage(path: string, options: OpenFileOptions = {}): Promise<FileStorage> {
  const write = options.write ?? false;
  try {
    // Opening a pipe would wait for a writer, perhaps forever.
    const before = await Deno.stat(path);
    const isDevice = checkFileType(before, path);
    const file = await Deno.open(path, { read: true, write });
    try {
      const found = await statOpened(file, path, before);
      // The path may refer to another file by now.
      if (checkFileType(found, path) !== isDevice) throw refusedFile(path, "it was replaced while it was opened");
      const identity = identityOf(found);
      const size = file.seekSync(0, Deno.SeekMode.End);
      if (!Number.isSafeInteger(size)) throw tooLong(path);
      const exclusive = isDevice && (options.exclusive ?? false);
      const host = openHostFile(path, { file, identity, write, exclusive });
      const reopen = write || isDevice || !identity ? undefined : () => reopenFile(path, identity, found);
      const opened = { isDevice, isNew: false, read: true, identity, size, host, ...(reopen && { reopen }) };
      return new FileStorage(path, file, opened);
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    throw hostError(error, "open", path);
  }
}

/** Opens for reading a file that was open before, when `before` was true of it. */
function reopenFile(path: string, identity: FileIdentity, before: Deno.FileInfo): OpenHandles {
  const file = openAgain(path);
  try {
    const found = statAgain(file, path);
    // A new file may have the number of one that was removed.
    const isSame = found.dev === before.dev && found.ino === before.ino &&
      found.birthtime?.getTime() === before.birthtime?.getTime();
    if (!isSame) {
      throw refusedFile(path, "another file has this name now");
    }
    return { file, host: openHostFile(path, { file, identity, write: false }) };
  } catch (error) {
    file.close();
    throw hostError(error, "open again", path);
  }
}

/** As {@linkcode statOpened}: without read access to the target of a link, what the path refers to. */
function statAgain(file: Deno.FsFile, path: string): Deno.FileInfo {
  try {
    return file.statSync();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    return Deno.statSync(path);
  }
}

function openAgain(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true });
  } catch (error) {
    throw hostError(error, "open again", path);
  }
}

/**
 * Creates a new, empty file for writing; reading it back is possible only if Deno has been allowed to read `path` before.
 * Deno asks for write access to `path` only.
 *
 * @param options `ownerOnly`: no other user may open the file, from the first moment
 * @throws ImageError `refused` if the path exists already; `missing` if its folder does not exist; `permission`, `io`
 *
 * @example
 * ```ts
 * import { createFileStorage } from "./file.ts";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * {
 *   await using storage = await createFileStorage(`${folder}/a.raw`);
 *   await storage.writeAt(new Uint8Array([7]), 3);
 *   await storage.sync();
 * }
 * assert.deepEqual([...await Deno.readFile(`${folder}/a.raw`)], [0, 0, 0, 7]);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function createFileStorage(
  path: string,
  { ownerOnly = false }: { readonly ownerOnly?: boolean } = {},
): Promise<FileStorage> {
  const read = (await Deno.permissions.query({ name: "read", path })).state === "granted";
  try {
    const file = await Deno.open(path, { read, write: true, createNew: true, mode: ownerOnly ? 0o600 : 0o666 });
    try {
      // Deno returns information about an open file only with read access.
      const identity = read ? identityOf(file.statSync()) : null;
      const host = openHostFile(path, { file, identity, write: true });
      return new FileStorage(path, file, { isDevice: false, isNew: true, read, identity, size: 0, host });
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    throw hostError(error, "create", path);
  }
}

/**
 * Returns information about the open `file`. For the target of a link, Deno requires read access to that target; without it,
 * the path must refer to the same file before and after opening.
 */
async function statOpened(file: Deno.FsFile, path: string, before: Deno.FileInfo): Promise<Deno.FileInfo> {
  try {
    return file.statSync();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const after = await Deno.stat(path);
    if (after.dev === before.dev && after.ino === before.ino) return after;
    throw refusedFile(path, "it was replaced while it was opened");
  }
}

/** Returns whether it is a block device; throws for anything but a file or a block device. Windows reports devices as files. */
function checkFileType(found: Deno.FileInfo, path: string): boolean {
  if (found.isFile) return false;
  if (found.isBlockDevice) return true;
  if (found.isDirectory) throw refusedFile(path, "it is a folder");
  if (found.isFifo) throw refusedFile(path, "it is a pipe, which has no positions");
  if (found.isSocket) throw refusedFile(path, "it is a socket");
  throw refusedFile(path, "it is neither a file nor a block device");
}

function refusedFile(path: string, found: string): ImageError {
  return new ImageError("refused", `Cannot open "${path}": ${found}`, { path });
}

/** Sizes and offsets are numbers of JavaScript, which are exact up to 2^53 - 1. */
function tooLong(path: string): ImageError {
  const message =
    `Cannot open "${path}": it is longer than ${Number.MAX_SAFE_INTEGER} bytes, the most that is supported`;
  return new ImageError("unsupported", message, { path });
}

function identityOf(found: Deno.FileInfo): FileIdentity | null {
  const { dev, ino, rdev } = found;
  if (ino === null || ino === 0) return null;
  return { dev, ino, ...(found.isBlockDevice && rdev !== null && { device: rdev }) };
}
