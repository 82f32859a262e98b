/**
 * `--print-permissions`: the command with just the permissions that it needs.
 *
 * @module
 */
import type { JobFiles } from "../mod.ts";
import { completeArgs } from "./args/parse_args.ts";
import { denoCommand } from "./permissions.ts";
import { programPath } from "./program.ts";
import { type Io, visible } from "./report/report.ts";
import type { CommandDef } from "./commands/command.ts";

/** Prints the `deno run` command for the words `args` of a command that touches `files`. */
export function showPermissions(def: CommandDef, args: readonly string[], files: JobFiles, io: Io): void {
  const complete = completeArgs(def, args, "print-permissions");
  const { command, warnings } = denoCommand(files, programPath(), [def.name, ...complete], Deno.build.os === "windows");
  for (const warning of warnings) io.err(`diskcast: warning: ${visible(warning)}\n`);
  io.out(`${command}\n`);
}
