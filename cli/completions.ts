/**
 * The command `completions`, and `complete`, by which the shells ask.
 *
 * @module
 */
import { script } from "@bomb.sh/tab";
import { allFormats, ImageError } from "../mod.ts";
import type { CommandContext, CommandDef } from "./command_def.ts";
import { parseArgs } from "./commander.ts";
import { proposals } from "./completion_words.ts";
import { completionsCommand, SHELLS } from "./completions_options.ts";
import type { Io } from "./report.ts";

/** Runs `completions`; the result is the exit code. The script goes to standard output by the package's own hand. */
export function runCompletions(args: readonly string[], { io }: CommandContext): Promise<number> {
  const parsed = parseArgs(completionsCommand, args);
  if ("help" in parsed) {
    io.out(parsed.help);
    return Promise.resolve(0);
  }
  const [shell, ...more] = parsed.files;
  if (shell === undefined || more.length > 0 || !(SHELLS as readonly string[]).includes(shell)) {
    const what = shell === undefined ? "the shell is missing" : `"${parsed.files.join(" ")}" is no shell known here`;
    throw new ImageError("usage", `Cannot write completions: ${what}; give one of ${SHELLS.join(", ")}`);
  }
  script(shell, "diskcast", "diskcast");
  // The script of the package takes file names away and never offers them; the later registration counts.
  if (shell === "bash") io.out("complete -o default -F __diskcast_complete diskcast\n");
  return Promise.resolve(0);
}

/** Answers a shell: one proposal a line, with a tab before what it means, then a colon and what else may be proposed. */
export function runComplete(args: readonly string[], commands: readonly CommandDef[], io: Io): number {
  const words = args[0] === "--" ? args.slice(1) : args;
  const { values, directive } = proposals(words, { commands, formats: allFormats });
  for (const [value, about] of values) io.out(`${value}\t${about}\n`);
  io.out(`:${directive}\n`);
  return 0;
}
