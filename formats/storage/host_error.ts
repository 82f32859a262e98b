/**
 * Conversion of exceptions of Deno and the host to {@linkcode ImageError}.
 *
 * @module
 */
import { type ErrorKind, ImageError } from "../errors.ts";
import { dirname, isAbsolute } from "./paths.ts";

/**
 * Returns the {@linkcode ImageError} for an exception of Deno or the host.
 *
 * Kinds: `missing` (no such file), `permission` (Deno's, with the flag to add; or the operating system's), `refused`
 * (exists already), `io` (all else). An `ImageError` is returned as it is.
 *
 * @param error the exception, which becomes the cause
 * @param doing the words between "Cannot" and the quoted path: `open`, `write 512 bytes at 4096 of`
 * @param path the file
 * @param fileOffset file offset of the access
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
  const [kind, found] = classify(error, path);
  return new ImageError(kind, `Cannot ${doing} "${path}": ${found}`, { path, offset: fileOffset, cause: error });
}

/**
 * Returns the path for which a flag of Deno can grant access to `path`: itself, or the nearest parent folder without a comma
 * in its path. Commas separate the paths of a flag, and Deno 2.9 rejects the doubled comma of its manual.
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

/** Returns the flag of Deno that allows `access` to `path`. */
export function permissionFlag(access: "read" | "write", path: string): string {
  return `--allow-${access}=${grantable(path)}`;
}

function classify(error: unknown, path: string): [ErrorKind, string] {
  if (error instanceof Deno.errors.NotCapable) return ["permission", capabilityMissing(error.message, path)];
  if (error instanceof Deno.errors.NotFound) return ["missing", "there is no such file or folder"];
  if (error instanceof Deno.errors.PermissionDenied) return ["permission", "the operating system does not permit it"];
  if (error instanceof Deno.errors.AlreadyExists) return ["refused", "it exists already"];
  return ["io", plainReason(error)];
}

/** Returns the advice for a missing permission, which the message of Deno names; for /dev and similar folders it is all. */
function capabilityMissing(message: string, path: string): string {
  const access = /--allow-([a-z]+)/.exec(message)?.[1];
  // A permission for a single path does not suffice there.
  if (/^\/(dev|proc|sys)\//.test(path) && access !== undefined) return capabilityMissing("--allow-all", "");
  if (access === "read" || access === "write") {
    // For a link, Deno checks the permission for its target.
    const wanted = /access to "([^"]+)"/.exec(message)?.[1] ?? path;
    const what = wanted === path || isAbsolute(wanted) !== isAbsolute(path) ? "it" : `"${wanted}"`;
    return `Deno must be allowed to ${access} ${what}, add ${permissionFlag(access, what === "it" ? path : wanted)}`;
  }
  if (access === "all") return "Deno opens what lies in /dev, /proc or /sys only with all permissions, add --allow-all";
  return message;
}

/** Returns the message of the host, without the number that Rust appends. */
function plainReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ \(os error \d+\).*$/, "").replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}
