// From the files that a command line names to the permission flags of Deno.
import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";

/**
 * Returns the flags for the grants that `diskcast grants` prints. What they do not cover is asked for in a terminal, and
 * denied elsewhere.
 *
 * - An image can be read. Where its format can name further files (backing file, extents), so can its folder: the program
 *   opens no file outside it.
 * - The folder of a new target can be read and written: the target is written under a temporary name, then renamed.
 * - Deno opens what is in /dev, /proc and /sys only with all permissions.
 */
export function permissionFlags({ images, read, write, temporary = false }, { DISKCAST_DENO_FLAGS = "" } = {}) {
  const further = DISKCAST_DENO_FLAGS.split(/\s+/).filter((flag) => flag !== "");
  const named = [...images, ...read, ...write].flatMap(withRealPath);
  if (named.some((path) => /^\/(dev|proc|sys)(\/|$)/.test(path))) return ["--allow-all"];
  const folders = images.filter(namesFiles).map((path) => dirname(realPath(resolve(path))));
  const scratch = temporary ? [tmpdir()] : [];
  return [
    ...flag("--allow-read", [...images, ...folders, ...read, ...scratch]),
    ...flag("--allow-write", [...write, ...scratch]),
    ...further,
  ];
}

function flag(name, paths) {
  const all = new Set(paths.flatMap(withRealPath).map(withoutComma));
  return all.size === 0 ? [] : [`${name}=${[...all].sort().join(",")}`];
}

/** Returns the absolute path, and the path that links in it lead to: Deno checks both. */
function withRealPath(path) {
  const absolute = resolve(path);
  return [...new Set([absolute, realPath(absolute)])];
}

/** Returns the real path; of a file that does not exist, that in the real path of its folder. */
function realPath(path) {
  try {
    return realpathSync(path);
  } catch {
    return dirname(path) === path ? path : join(realPath(dirname(path)), basename(path));
  }
}

/** Deno separates paths by commas and cannot express one inside a path: the folder above it is granted. */
function withoutComma(path) {
  return path.includes(",") ? withoutComma(dirname(path)) : path;
}

/**
 * Returns whether a file is an image that may name other files: a VMDK or VHDX, a differencing VHD or VDI, a qcow2 image
 * with a backing file or a data file.
 */
export function namesFiles(path) {
  const head = Buffer.alloc(512);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, head, 0, 512, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
  const starts = (text) => head.toString("latin1", 0, text.length) === text;
  // qcow2: offset of the backing file's name at 8; incompatible feature bit 2, external data file, at 72, from version 3.
  if (starts("QFI\xfb")) {
    const hasDataFile = head.readUInt32BE(4) >= 3 && (head.readUInt32BE(76) & 4) !== 0;
    return head.readBigUInt64BE(8) !== 0n || hasDataFile;
  }
  if (["KDMV", "COWD", "# Disk DescriptorFile", "vhdxfile"].some(starts)) return true;
  // seSparse: its constant header begins with 0xcafebabe as a 64-bit little-endian number.
  if (head.readBigUInt64LE(0) === 0xcafebaben) return true;
  // VHD: the copy of the footer at the start; disk type 4 at 60 is differencing.
  if (starts("conectix")) return head.readUInt32BE(60) === 4;
  // VDI: signature at 64; image type 4 at 76 is differencing.
  return head.readUInt32LE(64) === 0xbeda107f && head.readUInt32LE(76) === 4;
}
