/**
 * The name that a file has until it is complete.
 *
 * @module
 */
import { basename, dirname, join } from "../../formats/mod.ts";

/** Longest file name, in bytes, that every usual file system takes. */
const NAME_LIMIT = 255;

/**
 * The temporary name for `path`. It is always the same one, so that it can be allowed by name and so that what a killed
 * run left behind is found and replaced by the next.
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

/** Eight letters that tell long names with one beginning apart: FNV-1a, 32 bits. */
function shortHash(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
