/**
 * The gate for files that an image names. An image may come from a stranger: what it names is opened only inside its own
 * folder, or in a folder that the user has allowed.
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
 * Whether a name in an image is something else than a path: a URL, `json:`, or another protocol. A single letter before
 * the colon is a Windows drive.
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
 * The real path of a file that an image names.
 *
 * @param file as it stands in the image; of its names the first that exists counts
 * @param what what it is to the image: `backing file`, `data file`
 * @param imagePath the image that names it
 * @param allowRefs further folders in which it may lie
 * @throws ImageError `refused` for a protocol or a place outside; `missing`, `permission`
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
  const home = dirname(await realPath(imagePath, "find"));
  const names = [file.name, ...file.others ?? []].filter((name) => name !== "");
  const candidates = new Set(names.flatMap((name) => candidatesFor(name, home, imagePath)));
  const allowed = [home, ...await Promise.all(allowRefs.map((folder) => realPath(folder, "find the allowed folder")))];
  const refuseOutside = (path: string) => {
    if (allowed.some((folder) => isInside(path, folder))) return;
    const message = `Cannot open the ${describe}: it is "${path}", outside the folder of the image; ` +
      `allow its folder with --allow-ref ${dirname(path)} if you trust the image`;
    throw new ImageError("refused", message, { path });
  };
  const found = await firstThatExists([...candidates], describe, refuseOutside);
  refuseOutside(found);
  return found;
}

/** A relative name counts from the image's real folder; where it is not there, from the folder of the link to the image. */
function candidatesFor(name: string, home: string, imagePath: string): string[] {
  if (isAbsolute(name)) return [name];
  const here = [join(home, name), resolve(dirname(imagePath), name)];
  return Deno.build.os !== "windows" && name.includes("\\") ? [...here, ...windowsCandidates(name, home)] : here;
}

/** A name from Windows on another system: relative as it stands, and an absolute one as a neighbour of the image. */
function windowsCandidates(name: string, home: string): string[] {
  const parts = name.split("\\").filter((part) => part !== "" && part !== ".");
  const relative = /^([A-Za-z]:|\\\\)/.test(name) ? [] : [join(home, ...parts)];
  return [...relative, join(home, parts[parts.length - 1] ?? "")];
}

async function firstThatExists(
  candidates: readonly string[],
  describe: string,
  refuseOutside: (path: string) => void,
): Promise<string> {
  for (const candidate of candidates) {
    try {
      return await Deno.realPath(candidate);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      // Nobody is to be told to let Deno read a file only because an image names it.
      if (error instanceof Deno.errors.NotCapable) refuseOutside(candidate);
      throw hostError(error, `open the ${describe}:`, candidate);
    }
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

/** Whether `path` lies in `folder` or deeper. Both are real paths. Pure. */
function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !/^\.\.[\\/]/.test(way) && !isAbsolute(way);
}
