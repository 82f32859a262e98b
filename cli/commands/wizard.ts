/**
 * The command `wizard`: asks for a conversion, and then runs it.
 *
 * @module
 */
import { allFormats } from "../../mod.ts";
import { isOn } from "../args/parse_args.ts";
import { usageError } from "../args/usage.ts";
import { SIGNAL_EXIT } from "../exit_codes.ts";
import { isSet, programWords } from "../process.ts";
import type { Io } from "../report/report.ts";
import { commandLine } from "../wizard/answers.ts";
import { askAll } from "../wizard/ask.ts";
import { type NeededPermission, wizardHost } from "../wizard/host.ts";
import type { Prompter } from "../wizard/prompter.ts";
import { runNamed } from "./mod.ts";
import { runCommand } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `wizard`. */
export const wizardCommand: LoadedCommand = {
  options: [
    { long: "accessible", help: "numbered questions as plain lines, nothing is drawn; for screen readers" },
    { long: "ascii", help: "no characters beyond ASCII" },
  ],
  notes: `Only in a terminal; "diskcast" alone does the same. Esc goes back one question, Ctrl-C leaves.

Examples:
  diskcast wizard disk.vmdk`,
  run: (args, context) => runCommand({ read: wizardRequest, work }, args, context),
};

interface WizardRequest {
  /** Path of the source; absent: ask for it. */
  readonly source: string | undefined;
  readonly accessible: boolean;
  readonly ascii: boolean;
}

function wizardRequest(parsed: ParsedArgs, io: Io): WizardRequest {
  if (parsed.files.length > 1) throw usageError("Cannot ask about several sources: give one, or use convert");
  if (!io.errIsTerminal || !io.inIsTerminal) {
    throw usageError(
      "Cannot ask: this is not a terminal, and the target is missing; write " +
        [...programWords(), "convert SOURCE TARGET"].join(" "),
    );
  }
  return {
    source: parsed.files[0],
    accessible: isOn(parsed, "accessible") || isSet("ACCESSIBLE"),
    ascii: isOn(parsed, "ascii"),
  };
}

async function work({ source, accessible, ascii }: WizardRequest, context: CommandContext): Promise<number> {
  const { signal } = context;
  const unicode = !accessible && !ascii;
  const prompter = await (accessible ? plainPrompterOf(context) : drawnPrompter(unicode, signal));
  prompter.begin("diskcast: convert a disk image");
  const host = wizardHost(explainWith(prompter));
  const args = await askAll({ prompter, host, formats: allFormats, unicode, source });
  if (args === null) {
    prompter.end("Left; nothing was written");
    return SIGNAL_EXIT[signal.reason as keyof typeof SIGNAL_EXIT] ?? SIGNAL_EXIT.SIGINT;
  }
  prompter.end(commandLine(args, Deno.build.os === "windows"));
  return await runNamed("convert", [...progressArgs(accessible, unicode), ...args.slice(1)], context);
}

async function plainPrompterOf({ io, signal }: CommandContext): Promise<Prompter> {
  const { plainPrompter, terminalLines } = await import("../wizard/plain_prompter.ts");
  return plainPrompter(terminalLines((text) => io.err(text), signal));
}

async function drawnPrompter(unicode: boolean, signal: AbortSignal): Promise<Prompter> {
  const { clackPrompter } = await import("../wizard/clack_prompter.ts");
  return await clackPrompter({ ascii: !unicode, color: !Deno.noColor }, signal);
}

/** Returns a function that explains permissions before Deno prompts for them. */
function explainWith(prompter: Prompter): (needed: readonly NeededPermission[]) => void {
  return (needed) =>
    prompter.note("Permissions", [
      "Deno will now ask whether this program may",
      ...needed.map(({ name, path, why }) => `  ${name} ${path}, ${why}`),
      "More is not needed for this step. Answer y; n goes back without harm.",
    ]);
}

/** Returns the arguments of `convert` for progress in the form of the questions. */
function progressArgs(accessible: boolean, unicode: boolean): string[] {
  if (accessible) return ["--accessible"];
  return ["--progress=screen", ...(unicode ? [] : ["--ascii"])];
}
