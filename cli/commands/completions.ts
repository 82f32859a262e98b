/**
 * The command `completions`, and `complete`, which the scripts of the shells run.
 *
 * @module
 */
import { allFormats } from "../../mod.ts";
import { complete } from "../args/completion.ts";
import { usageError } from "../args/usage.ts";
import type { Io } from "../report/report.ts";
import { definitionOf } from "./mod.ts";
import { runCommand } from "./run_command.ts";
import type { Command, LoadedCommand, ParsedArgs } from "./command.ts";

/** The scripts. They pass the arguments to `complete` and show its candidates. */
const SCRIPTS: { readonly [shell: string]: () => Promise<{ readonly default: string }> } = {
  bash: () => import("../completions/diskcast.bash", { with: { type: "text" } }),
  zsh: () => import("../completions/diskcast.zsh", { with: { type: "text" } }),
  fish: () => import("../completions/diskcast.fish", { with: { type: "text" } }),
  powershell: () => import("../completions/diskcast.ps1", { with: { type: "text" } }),
};

const SHELLS = Object.keys(SCRIPTS);

/** `completions`. */
export const completionsCommand: LoadedCommand = {
  options: [],
  choices: SHELLS,
  notes: `Examples:
  diskcast completions bash > ~/.local/share/bash-completion/completions/diskcast
  diskcast completions zsh > "\${fpath[1]}/_diskcast"
  diskcast completions fish > ~/.config/fish/completions/diskcast.fish
  diskcast completions powershell | Out-String | Invoke-Expression`,
  run: (args, context) =>
    runCommand(
      {
        read: shellOf,
        async work({ shell }, { io }) {
          io.out((await SCRIPTS[shell]!()).default);
          return 0;
        },
      },
      args,
      context,
    ),
};

function shellOf({ files }: ParsedArgs): { readonly shell: string } {
  const [shell, ...more] = files;
  if (shell !== undefined && more.length === 0 && SHELLS.includes(shell)) return { shell };
  const problem = shell === undefined ? "the shell is missing" : `"${files.join(" ")}" is no shell known here`;
  throw usageError(`Cannot write completions: ${problem}; give one of ${SHELLS.join(", ")}`);
}

/**
 * Prints the candidates for the argument at the cursor: one a line, with a tab before its help; then a colon and the
 * directive. The arguments so far follow `--`, or `--next` where the cursor is behind them, at a new one.
 */
export async function runComplete(args: readonly string[], commands: readonly Command[], io: Io): Promise<number> {
  const typed = args[0] === "--" ? args.slice(1) : args[0] === "--next" ? [...args.slice(1), ""] : args;
  const named = commands.find(({ name }) => name === typed[0]);
  const command = named && await definitionOf(named);
  const { values, directive } = complete(typed, { commands, command, formats: allFormats });
  for (const [value, help] of values) io.out(`${value}\t${help}\n`);
  io.out(`:${directive}\n`);
  return 0;
}
