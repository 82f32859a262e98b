/**
 * Refuses files that are no raw disk images, with the command that extracts one.
 *
 * @module
 */
import { extname, ImageError } from "../../formats/mod.ts";
import type { Contents } from "./recognise.ts";

/**
 * Returns the error for a file without an image format that is no raw disk either.
 *
 * @param stated how the user states the format nevertheless
 */
export function notADisk(path: string, contents: Contents, stated: string): ImageError {
  const { kind, name } = contents;
  const command = extractCommand(path, contents);
  const advice = command !== undefined
    ? `${VERBS[kind] ?? "extract"} it first: ${command}`
    : kind === "text"
    ? "give the disk image that belongs to it"
    : "give a disk image";
  return new ImageError("refused", `Cannot take "${path}" for a disk image: it is ${name}; ${advice}; ${stated}`, {
    path,
  });
}

const VERBS: { readonly [kind in Contents["kind"]]?: string } = { compressed: "decompress", image: "convert" };

/** Returns the command line that extracts a disk image, for a POSIX shell; `undefined` where there is none. */
export function extractCommand(path: string, { kind, extract }: Contents): string | undefined {
  if (extract === undefined) return undefined;
  // tar decompresses by itself, and its result has the name that it had.
  const tarball = kind === "compressed" && (/\.tar\.\w+$/i.test(path) || /^\.t(gz|xz|bz2?|zst)$/i.test(extname(path)));
  const args = tarball ? ["tar", "-xf", "FILE"] : extract;
  return args.map((arg) => arg === "FILE" ? quoted(path) : arg).join(" ");
}

function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
