/**
 * The temporary name of a file until it is complete.
 *
 * @module
 */
import { basename, dirname, join } from "../../formats/mod.ts";

/** Longest file name of the usual file systems, in bytes. */
const NAME_LIMIT = 255;

/**
 * Returns the temporary name for `path`. It is always the same, so that the user can allow it by name, and the next run
 * finds and replaces a file that a killed run has left.
 *
 * @example
 * ```ts
 * import { partName } from "./part_name.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(partName("/images/a.qcow2"), "/images/.a.qcow2.diskcast");
 * ```
 */
export function partName(path: string): string {
  const name = basename(path);
  const bytes = new TextEncoder().encode(name);
  const suffix = ".diskcast";
  const kept = NAME_LIMIT - suffix.length - 1;
  const short = bytes.length <= kept ? name : `${name.slice(0, Math.floor(kept / 4) - 8)}${shortHash(bytes)}`;
  return join(dirname(path), `.${short}${suffix}`);
}

/** Returns eight hex digits that distinguish long names with the same beginning: FNV-1a, 32 bits. */
function shortHash(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
