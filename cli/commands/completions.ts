/**
 * The command `completions`, and `complete`, by which the shells ask.
 *
 * @module
 */
import { allFormats, ImageError } from "../../mod.ts";
import type { CommandContext, CommandDef } from "./command.ts";
import { parseArgs } from "../args/parse_args.ts";
import { helpOf } from "./run_command.ts";
import { proposals } from "../args/completion.ts";
import { completionsCommand, SHELLS } from "./completions_options.ts";
import type { Io } from "../report/report.ts";

type Shell = typeof SHELLS[number];

/** The scripts. They only hand on what was typed and show the answer; what follows what is known here alone. */
const SCRIPTS: { readonly [shell in Shell]: () => Promise<{ readonly default: string }> } = {
  bash: () => import("../completions/diskcast.bash", { with: { type: "text" } }),
  zsh: () => import("../completions/diskcast.zsh", { with: { type: "text" } }),
  fish: () => import("../completions/diskcast.fish", { with: { type: "text" } }),
  powershell: () => import("../completions/diskcast.ps1", { with: { type: "text" } }),
};

/** Runs `completions`; the result is the exit code. */
export async function runCompletions(args: readonly string[], { io }: CommandContext): Promise<number> {
  const parsed = parseArgs(completionsCommand, args);
  if (parsed === null) {
    io.out(await helpOf(completionsCommand));
    return 0;
  }
  const [shell, ...more] = parsed.files;
  if (shell === undefined || more.length > 0 || !(SHELLS as readonly string[]).includes(shell)) {
    const what = shell === undefined ? "the shell is missing" : `"${parsed.files.join(" ")}" is no shell known here`;
    throw new ImageError("usage", `Cannot write completions: ${what}; give one of ${SHELLS.join(", ")}`);
  }
  io.out((await SCRIPTS[shell as Shell]()).default);
  return 0;
}

/**
 * Answers a shell: one proposal a line, with a tab before what it means, then a colon and what else may be proposed. After
 * `--` come the words so far, the last of them unfinished; after `--next` a further, empty one is begun.
 */
export function runComplete(args: readonly string[], commands: readonly CommandDef[], io: Io): number {
  const words = args[0] === "--" ? args.slice(1) : args[0] === "--next" ? [...args.slice(1), ""] : args;
  const { values, directive } = proposals(words, { commands, formats: allFormats });
  for (const [value, about] of values) io.out(`${value}\t${about}\n`);
  io.out(`:${directive}\n`);
  return 0;
}
