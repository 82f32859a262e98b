/**
 * From what Deno throws to an {@linkcode ImageError}, in one place.
 *
 * @module
 */
import { type ErrorKind, ImageError } from "../errors.ts";
import { dirname, isAbsolute } from "./paths.ts";

/**
 * The failure that `error`, thrown by Deno or the host, stands for.
 *
 * Kinds: `missing` (no such file), `permission` (Deno's, with the flag to add; or the operating system's), `refused`
 * (exists already), `io` (all else). An `ImageError` is returned as it is.
 *
 * @param error what was thrown; kept as the cause
 * @param doing what follows "Cannot" and comes before the quoted path: `open`, `write 512 bytes at 4096 of`
 * @param path the file
 * @param fileOffset where in the file, in bytes
 *
 * @example
 * ```ts
 * import { hostError } from "./host_error.ts";
 * import assert from "node:assert/strict";
 *
 * const error = hostError(new Deno.errors.NotFound("no such file"), "open", "a.raw");
 * assert.equal(error.kind, "missing");
 * assert.equal(error.message, 'Cannot open "a.raw": there is no such file or folder');
 * ```
 */
export function hostError(error: unknown, doing: string, path: string, fileOffset?: number): ImageError {
  if (error instanceof ImageError) return error;
  const [kind, found] = meaningOf(error, path);
  return new ImageError(kind, `Cannot ${doing} "${path}": ${found}`, { path, offset: fileOffset, cause: error });
}

/**
 * What Deno can be given for `path`: itself, or the nearest folder above it whose name has no comma. Commas separate the
 * paths of a flag, and Deno 2.9 refuses the doubled comma of its manual.
 *
 * @example
 * ```ts
 * import { grantable } from "./host_error.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(grantable("/images/a.raw"), "/images/a.raw");
 * assert.equal(grantable("/images/a,b/c.raw"), "/images");
 * ```
 */
export function grantable(path: string): string {
  let at = path;
  while (at.includes(",")) at = dirname(at);
  return at;
}

/** The Deno flag that allows `access` to `path`, as it is to be typed. */
export function permissionFlag(access: "read" | "write", path: string): string {
  return `--allow-${access}=${grantable(path)}`;
}

function meaningOf(error: unknown, path: string): [ErrorKind, string] {
  if (error instanceof Deno.errors.NotCapable) return ["permission", capabilityMissing(error.message, path)];
  if (error instanceof Deno.errors.NotFound) return ["missing", "there is no such file or folder"];
  if (error instanceof Deno.errors.PermissionDenied) return ["permission", "the operating system does not permit it"];
  if (error instanceof Deno.errors.AlreadyExists) return ["refused", "it exists already"];
  return ["io", plainReason(error)];
}

/** Deno names the access that it wants in its message, and asks for `--allow-all` where the path lies in /dev and the like. */
function capabilityMissing(message: string, path: string): string {
  const access = /--allow-([a-z]+)/.exec(message)?.[1];
  // What it says of a single path there, would not do.
  if (/^\/(dev|proc|sys)\//.test(path) && access !== undefined) return capabilityMissing("--allow-all", "");
  if (access === "read" || access === "write") {
    // Behind a link, Deno wants the place that it leads to.
    const wanted = /access to "([^"]+)"/.exec(message)?.[1] ?? path;
    const what = wanted === path || isAbsolute(wanted) !== isAbsolute(path) ? "it" : `"${wanted}"`;
    return `Deno must be allowed to ${access} ${what}, add ${permissionFlag(access, what === "it" ? path : wanted)}`;
  }
  if (access === "all") return "Deno opens what lies in /dev, /proc or /sys only with all permissions, add --allow-all";
  return message;
}

/** The host's words, without the number that Rust adds. */
function plainReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ \(os error \d+\).*$/, "").replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}
