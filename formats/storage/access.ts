/**
 * Owner, group and access rights of files, set through a descriptor: a path may lead elsewhere by the time it is used.
 *
 * @module
 */
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, openSync, type Stats } from "node:fs";
import { ImageError } from "../errors.ts";
import type { FileIdentity } from "./host.ts";
import { hostError } from "./host_error.ts";
import type { StoredFile } from "./types.ts";

/**
 * Gives the file `to` the owner, the group and the access rights of `from`. Only root may change the owner; other users may
 * set a group that they are in. Without the group of `from`, `to` grants no rights to its own group. Needs read and write
 * access to the path of `to`.
 *
 * @throws ImageError `refused` where one of the paths leads to another file by now; `io`
 */
export function copyAccess(from: StoredFile, to: StoredFile): void {
  if (Deno.build.os === "windows") return;
  try {
    const wanted = withDescriptor(from, (descriptor) => fstatSync(descriptor));
    withDescriptor(to, (descriptor, now) => {
      const sameGroup = setOwner(descriptor, wanted, now);
      fchmodSync(descriptor, wanted.mode & (sameGroup ? 0o777 : 0o707));
    });
  } catch (error) {
    throw hostError(error, "keep the access rights of", from.label);
  }
}

/** Sets owner and group, or the group alone; returns whether the file has the group. */
function setOwner(descriptor: number, { uid, gid }: Stats, now: Stats): boolean {
  if (now.uid === uid && now.gid === gid) return true;
  for (const owner of [uid, now.uid]) {
    try {
      fchownSync(descriptor, owner, gid);
      return true;
    } catch {
      // The user is not root, or the file system has no owners.
    }
  }
  return now.gid === gid;
}

/** Calls `use` with a descriptor of the open file `file`. Links are not followed. */
function withDescriptor<T>(file: StoredFile, use: (descriptor: number, found: Stats) => T): T {
  const descriptor = openSync(file.label, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  try {
    const found = fstatSync(descriptor);
    if (file.identity !== null && !isSame(found, file.identity)) {
      const message = `Cannot set the access rights of "${file.label}": another file has this name now`;
      throw new ImageError("refused", message, { path: file.label });
    }
    return use(descriptor, found);
  } finally {
    closeSync(descriptor);
  }
}

function isSame({ dev, ino }: Stats, identity: FileIdentity): boolean {
  return dev === identity.dev && ino === identity.ino;
}
