/**
 * The `deno run` command with just the permissions that a job needs. Pure.
 *
 * @module
 */

import type { JobFiles } from "../mod.ts";

/** One word for a shell: a POSIX one, or that of Windows. */
export function shellWord(word: string, windows: boolean): string {
  if (/^[\w@%+=:,./-]+$/.test(word) && !(windows && /[%,=]/.test(word))) return word;
  if (windows && /^[\w@+:.\\/-]+$/.test(word)) return word;
  if (windows) return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The paths as the value of a Deno flag: a comma of a path is doubled. */
function pathList(paths: readonly string[]): string {
  return [...new Set(paths)].sort().map((path) => path.replaceAll(",", ",,")).join(",");
}

/**
 * The whole command line.
 *
 * @param program Path or address of `mod.ts`.
 * @param args The words after the program, the command's name first.
 *
 * @example
 * ```ts
 * import { denoCommand } from "./permissions.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(
 *   denoCommand({ read: ["/a/my disk"], write: ["/a/out"] }, "/d/mod.ts", ["convert", "my disk", "out"], false),
 *   "deno run '--allow-read=/a/my disk' --allow-write=/a/out /d/mod.ts convert 'my disk' out",
 * );
 * ```
 */
export function denoCommand(files: JobFiles, program: string, args: readonly string[], windows: boolean): string {
  const flags = [
    ...(files.read.length > 0 ? [`--allow-read=${pathList(files.read)}`] : []),
    ...(files.write.length > 0 ? [`--allow-write=${pathList(files.write)}`] : []),
  ];
  return ["deno", "run", ...flags, program, ...args].map((word) => shellWord(word, windows)).join(" ");
}
