/**
 * The `deno run` command with just the permissions that a job needs.
 *
 * @module
 */
import { grantable, type JobFiles } from "../mod.ts";
import { completeArgs } from "./args/parse_args.ts";
import { type Io, warningText } from "./report/report.ts";
import type { CommandDef } from "./commands/command.ts";

/** A command line, and why it allows more than the job needs. */
export interface DenoCommand {
  readonly command: string;
  readonly warnings: readonly string[];
}

/** Characters on which a terminal acts, tab and newline aside; the name of a file may have them. */
const CONTROLS = /[\p{Bidi_Control}\u2028\u2029]|(?![\t\n])\p{Cc}/u;

/** Quotes in the form `$'\033'`, which POSIX.1-2024 and the usual shells read. */
function ansiQuoted(arg: string): string {
  const text = arg.replace(/[\\']/g, "\\$&").replace(new RegExp(CONTROLS, "gu"), (control) => {
    const bytes = new TextEncoder().encode(control);
    return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  });
  return `$'${text}'`;
}

/** Quotes one argument for a POSIX shell, or for Windows. */
export function shellWord(arg: string, windows: boolean): string {
  if (/^[\w@%+=:,./-]+$/.test(arg) && !(windows && /[%,=]/.test(arg))) return arg;
  if (windows && /^[\w@+:.\\/-]+$/.test(arg)) return arg;
  if (!windows && CONTROLS.test(arg)) return ansiQuoted(arg);
  if (windows) return `"${arg.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`;
  return `'${arg.replaceAll("'", "'\\''")}'`;
}

/**
 * Returns the whole command line. Deno separates paths by commas and cannot escape one inside a path (2.9 refuses the
 * doubled comma of its manual), so the folder above such a path is allowed instead.
 *
 * @param program Path or address of `mod.ts`.
 * @param args The arguments after the program, the command's name first.
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
    command: ["deno", "run", ...flags, program, ...args].map((arg) => shellWord(arg, windows)).join(" "),
    warnings: special === undefined
      ? commaWarnings(paths)
      : [`Deno opens what lies in /dev, /proc or /sys only with all permissions: "${special}"`],
  };
}

function flag(name: string, paths: readonly string[]): string[] {
  if (paths.length === 0) return [];
  return [`--${name}=${[...new Set(paths.map(grantable))].sort().join(",")}`];
}

/** Returns whether Deno opens the path only with all permissions. */
function needsAll(path: string): boolean {
  return /^\/(dev|proc|sys)(\/|$)/.test(path);
}

function commaWarnings(paths: readonly string[]): string[] {
  const folders = new Set(paths.filter((path) => path.includes(",")).map(grantable));
  return [...folders].map((folder) => `Deno cannot be given a path with a comma, so all of "${folder}" is allowed`);
}

/**
 * Returns the path of the module that starts this program, or its address where it is not a file. In the built form
 * this module lies in `chunks/`, beside which `diskcast.js` stands.
 */
export async function programPath(): Promise<string> {
  const entry = import.meta.url.endsWith("/cli/permissions.ts") ? "../mod.ts" : "../diskcast.js";
  const url = new URL(entry, import.meta.url);
  return url.protocol === "file:" ? (await import("node:url")).fileURLToPath(url) : url.href;
}

/**
 * Requests the permissions to write that a job needs and that are not granted, before its progress is shown: Deno prompts
 * in the middle of a line, and a copy would wait for its last permission at its end. Opening the sources, which `files`
 * does, requests those to read them. A denial is reported by the job.
 */
export async function requestBeforeJob(files: () => Promise<JobFiles>): Promise<void> {
  const { write } = await files().catch((): JobFiles => ({ read: [], write: [] }));
  for (const path of write) {
    const wanted = { name: "write", path } as const;
    if (needsAll(path) || Deno.permissions.querySync(wanted).state !== "prompt") continue;
    if ((await Deno.permissions.request(wanted)).state !== "granted") return;
  }
}

/** Prints the `deno run` command for the arguments `args` of a command that touches `files`. */
export async function printPermissions(
  def: CommandDef,
  args: readonly string[],
  files: JobFiles,
  io: Io,
): Promise<void> {
  const complete = [def.name, ...completeArgs(def, args, "print-permissions")];
  const { command, warnings } = denoCommand(files, await programPath(), complete, Deno.build.os === "windows");
  for (const warning of warnings) io.err(`${warningText(warning)}\n`);
  io.out(`${command}\n`);
}
