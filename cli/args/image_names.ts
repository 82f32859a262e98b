/**
 * File names as users write them: `file:NAME`, `json:{...}`, and colons that could be meant as a protocol. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";

/** Protocols that mean a file of this machine. */
const FILE_PROTOCOLS = ["file", "host_device"];

/** A name taken apart: a path, or the text of a JSON description. */
export type NameParts = { readonly path: string } | { readonly json: string };

/** The protocol of a name: what stands before a colon ahead of the first slash. */
function protocolOf(name: string, windows: boolean): string | undefined {
  if (windows && /^[A-Za-z]:/.test(name)) return undefined;
  const match = (windows ? /^([^:/\\]*):/ : /^([^:/]*):/).exec(name);
  return match?.[1];
}

/**
 * What a file name of the command line means.
 *
 * @param windows Whether drive letters and backslashes are parts of paths.
 * @throws ImageError `usage` for a protocol that this program does not know, and for an empty name.
 *
 * @example
 * ```ts
 * import { nameParts } from "./image_names.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(nameParts("file:x:y.raw", false), { path: "x:y.raw" });
 * assert.throws(() => nameParts("x:y.raw", false));
 * ```
 */
export function nameParts(name: string, windows: boolean): NameParts {
  if (name === "") throw new ImageError("usage", "Cannot use an empty file name");
  const protocol = protocolOf(name, windows);
  if (protocol === undefined) return { path: name };
  const rest = name.slice(protocol.length + 1);
  if (protocol === "json") return { json: rest };
  if (FILE_PROTOCOLS.includes(protocol) && rest !== "") return { path: rest };
  throw new ImageError(
    "usage",
    `Unknown protocol "${protocol}" in the file name "${name}": only local files can be opened;` +
      ` if this is the name of a file, write "./${name}"`,
    { path: name },
  );
}

/**
 * The path in a file name that cannot be a JSON description.
 *
 * @param role What the name is, for the message.
 * @throws ImageError `usage`
 */
export function pathOf(name: string, windows: boolean, role: string): string {
  const parts = nameParts(name, windows);
  if ("path" in parts) return parts.path;
  throw new ImageError("usage", `Cannot use a json: name as the ${role}: it must be a path`);
}

/** A path that reads as a path again when an image names it: `x:y` becomes `./x:y`. */
export function storablePath(path: string, windows: boolean): string {
  return protocolOf(path, windows) === undefined ? path : `./${path}`;
}
