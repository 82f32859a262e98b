/**
 * The `deno run` command with just the permissions that a job needs. Pure.
 *
 * @module
 */

import { grantable, type JobFiles } from "../mod.ts";

/** One word for a shell: a POSIX one, or that of Windows. */
export function shellWord(word: string, windows: boolean): string {
  if (/^[\w@%+=:,./-]+$/.test(word) && !(windows && /[%,=]/.test(word))) return word;
  if (windows && /^[\w@+:.\\/-]+$/.test(word)) return word;
  if (windows) return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function flag(name: string, paths: readonly string[]): string[] {
  if (paths.length === 0) return [];
  return [`--${name}=${[...new Set(paths.map(grantable))].sort().join(",")}`];
}

/** Deno opens what lies here only with all permissions. */
function needsAll(path: string): boolean {
  return /^\/(dev|proc|sys)(\/|$)/.test(path);
}

/** A command line, and why it allows more than the job needs. */
export interface DenoCommand {
  readonly command: string;
  readonly warnings: readonly string[];
}

/**
 * The whole command line. Deno separates paths by commas and has no way to write one inside a path (2.9 refuses the
 * doubled comma of its manual), so the folder above such a path is allowed instead.
 *
 * @param program Path or address of `mod.ts`.
 * @param args The words after the program, the command's name first.
 *
 * @example
 * ```ts
 * import { denoCommand } from "./permissions.ts";
 * import assert from "node:assert/strict";
 *
 * const files = { read: ["/a/my disk"], write: ["/a"] };
 * assert.equal(
 *   denoCommand(files, "/d/mod.ts", ["convert", "my disk", "out"], false).command,
 *   "deno run '--allow-read=/a/my disk' --allow-write=/a /d/mod.ts convert 'my disk' out",
 * );
 * ```
 */
export function denoCommand(
  files: JobFiles,
  program: string,
  args: readonly string[],
  windows: boolean,
): DenoCommand {
  const paths = [...files.read, ...files.write];
  const special = windows ? undefined : paths.find(needsAll);
  const flags = special === undefined
    ? [...flag("allow-read", files.read), ...flag("allow-write", files.write)]
    : ["--allow-all"];
  return {
    command: ["deno", "run", ...flags, program, ...args].map((word) => shellWord(word, windows)).join(" "),
    warnings: special === undefined
      ? commaWarnings(paths)
      : [`Deno opens what lies in /dev, /proc or /sys only with all permissions: "${special}"`],
  };
}

function commaWarnings(paths: readonly string[]): string[] {
  const folders = new Set(paths.filter((path) => path.includes(",")).map(grantable));
  return [...folders].map((folder) => `Deno cannot be told a path with a comma, so all of "${folder}" is allowed`);
}
