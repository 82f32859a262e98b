/**
 * Resolves the files that an image names. Images are untrusted: files that they name are opened only inside the folder of
 * the image, or in a folder that the user has allowed.
 *
 * @module
 */
import {
  dirname,
  hostError,
  ImageError,
  isAbsolute,
  join,
  type NamedFile,
  relative,
  resolve,
} from "../../formats/mod.ts";

/**
 * Returns whether a name in an image is no path but a URL, `json:` or another protocol. A single letter before the colon
 * is a Windows drive.
 *
 * @example
 * ```ts
 * import { isProtocol } from "./named_files.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(isProtocol("nbd://host/disk"), true);
 * assert.equal(isProtocol("json:{}"), true);
 * assert.equal(isProtocol("base.qcow2"), false);
 * assert.equal(isProtocol("./a:b.raw"), false);
 * ```
 */
export function isProtocol(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9.+_-]+:/.test(name);
}

/**
 * Returns the real path of a file that an image names.
 *
 * @param file as stored in the image; the first of its names that exists is taken
 * @param what role of the file for messages: `backing file`, `data file`
 * @param imagePath the image that names it
 * @param allowRefs further folders that are allowed
 * @throws ImageError `refused` for a protocol, a name that is not text, or a file outside the allowed folders; `missing`,
 * `permission`
 */
export async function resolveNamed(
  file: NamedFile,
  what: string,
  imagePath: string,
  allowRefs: readonly string[],
): Promise<string> {
  const describe = `${what} "${file.name}" that "${imagePath}" names`;
  if (isProtocol(file.name)) {
    const message = `Cannot open the ${describe}: only paths are followed, never URLs, "json:" or other protocols; ` +
      `state the file yourself (see --image-opts, ${what === "data file" ? "data-file" : "backing.file"}.filename)`;
    throw new ImageError("refused", message, { path: imagePath });
  }
  // Bytes that are not UTF-8 are U+FFFD here, which is the name of another file.
  const names = [file.name, ...file.others ?? []].filter((name) => name !== "" && !name.includes("\ufffd"));
  if (names.length === 0) {
    const message =
      `Cannot open the ${describe}: the name has bytes that are not text (U+FFFD), and the program cannot ` +
      `name such a file; rename it and state the new name in the image (rebase -u), or state the file yourself`;
    throw new ImageError("refused", message, { path: imagePath });
  }
  const home = dirname(await realPath(imagePath, "find"));
  const candidates = new Set(names.flatMap((name) => candidatesFor(name, home, imagePath)));
  const allowed = [home, ...await Promise.all(allowRefs.map((folder) => realPath(folder, "find the allowed folder")))];
  const refuseOutside = (path: string) => {
    if (allowed.some((folder) => isInside(path, folder))) return;
    const message = `Cannot open the ${describe}: it is "${path}", outside the folder of the image; ` +
      `allow its folder with --allow-ref ${dirname(path)} if you trust the image`;
    throw new ImageError("refused", message, { path });
  };
  const found = await firstThatExists(await grantedFirst([...candidates]), describe, refuseOutside);
  refuseOutside(found);
  return found;
}

/** Returns the paths to try: a relative name counts from the real folder of the image, then from that of a link to it. */
function candidatesFor(name: string, home: string, imagePath: string): string[] {
  if (isAbsolute(name)) return [name];
  const here = [join(home, name), resolve(dirname(imagePath), name)];
  return Deno.build.os !== "windows" && name.includes("\\") ? [...here, ...windowsCandidates(name, home)] : here;
}

/** Returns the paths to try for a name from Windows: relative names with `/`, and any name in the folder of the image. */
function windowsCandidates(name: string, home: string): string[] {
  const parts = name.split("\\").filter((part) => part !== "" && part !== ".");
  const relative = /^([A-Za-z]:|\\\\)/.test(name) ? [] : [join(home, ...parts)];
  return [...relative, join(home, parts[parts.length - 1] ?? "")];
}

/** Sorts paths that Deno may read before others, about which it would ask the user. */
async function grantedFirst(candidates: readonly string[]): Promise<string[]> {
  if (candidates.length < 2) return [...candidates];
  const states = await Promise.all(candidates.map((path) => Deno.permissions.query({ name: "read", path })));
  const isGranted = (_path: string, index: number) => states[index]!.state === "granted";
  return [...candidates.filter(isGranted), ...candidates.filter((path, index) => !isGranted(path, index))];
}

async function firstThatExists(
  candidates: readonly string[],
  describe: string,
  refuseOutside: (path: string) => void,
): Promise<string> {
  let denied: { readonly candidate: string; readonly error: unknown } | undefined;
  for (const candidate of candidates) {
    try {
      return await Deno.realPath(candidate);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      if (!(error instanceof Deno.errors.NotCapable)) throw hostError(error, `open the ${describe}:`, candidate);
      denied ??= { candidate, error };
    }
  }
  if (denied) {
    // The message must not ask the user to grant Deno access to any file that an image names.
    refuseOutside(denied.candidate);
    throw hostError(denied.error, `open the ${describe}:`, denied.candidate);
  }
  const message = `Cannot open the ${describe}: there is no "${candidates[0]}"`;
  throw new ImageError("missing", message, { path: candidates[0] });
}

async function realPath(path: string, doing: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    throw hostError(error, doing, path);
  }
}

/** Returns whether `path` is inside `folder` or a folder in it. Both are real paths. Pure. */
function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !/^\.\.[\\/]/.test(way) && !isAbsolute(way);
}

/** How often the path is looked at. A folder that flips between two states passes one look by chance, never all of them. */
const LOOKS = 16;

/**
 * Refuses a file that was opened by the path of {@linkcode resolveNamed}, where a folder of that path was replaced by a link
 * in between, so that a file outside the allowed folders may have been opened.
 *
 * @param path a real path
 * @param identity the file that was opened; null where the host does not report it
 * @throws ImageError `refused`
 */
export function refuseMoved(path: string, identity: { readonly dev: number; readonly ino: number } | null): void {
  if (identity === null) return;
  for (let look = 0; look < LOOKS; look++) {
    const found = lookAt(path);
    if (found?.real === path && found.dev === identity.dev && found.ino === identity.ino) continue;
    throw new ImageError("refused", `Cannot open "${path}": it was replaced while it was opened`, { path });
  }
}

function lookAt(path: string): { readonly real: string; readonly dev: number; readonly ino: number | null } | null {
  try {
    const { dev, ino } = Deno.statSync(path);
    return { real: Deno.realPathSync(path), dev, ino };
  } catch {
    return null;
  }
}
