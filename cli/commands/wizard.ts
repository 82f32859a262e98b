/**
 * The command `wizard`: asks for a conversion, and then runs it.
 *
 * @module
 */
import { allFormats, type ImageError } from "../../mod.ts";
import { isOn } from "../args/parse_args.ts";
import { usageError } from "../args/usage.ts";
import { SIGNAL_EXIT } from "../exit_codes.ts";
import { isSet, programWords } from "../process.ts";
import { shellWord } from "../permissions.ts";
import { type Io, visible } from "../report/report.ts";
import { commandLine, type Step } from "../wizard/answers.ts";
import { askAll, type Progress } from "../wizard/ask.ts";
import { type NeededPermission, wizardHost } from "../wizard/host.ts";
import type { Prompter } from "../wizard/prompter.ts";
import { failedQuestion } from "../wizard/questions.ts";
import { answersForSome } from "../wizard/targets.ts";
import { runNamed } from "./mod.ts";
import { runCommand } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

const WINDOWS = Deno.build.os === "windows";

/** `wizard`. */
export const wizardCommand: LoadedCommand = {
  options: [
    { long: "accessible", help: "numbered questions as plain lines, nothing is drawn; for screen readers" },
    { long: "ascii", help: "no characters beyond ASCII" },
  ],
  notes:
    `Only in a terminal; "diskcast" alone does the same, and so does "diskcast FILE...". Several sources are converted one
after the other, each to a file of its own. Esc goes back one question, Ctrl-C leaves.

Examples:
  diskcast wizard disk.vmdk
  diskcast wizard *.vmdk`,
  run: (args, context) => runCommand({ read: wizardRequest, work }, args, context),
};

interface WizardRequest {
  /** Paths of the sources; empty: ask for them. */
  readonly sources: readonly string[];
  /** Path of the target, where one is given. */
  readonly target: string | undefined;
  readonly accessible: boolean;
  readonly ascii: boolean;
}

function wizardRequest(parsed: ParsedArgs, io: Io): WizardRequest {
  if (!io.errIsTerminal || !io.inIsTerminal) throw cannotAsk(parsed.files);
  return {
    ...sourcesAndTarget(parsed.files),
    accessible: isOn(parsed, "accessible") || isSet("ACCESSIBLE"),
    ascii: isOn(parsed, "ascii"),
  };
}

/** Returns the error where no question can be asked, with the command to type instead. */
function cannotAsk(files: readonly string[]): ImageError {
  const words = files.map((file) => shellWord(file, WINDOWS));
  const missing = words.length > 1 ? "" : ", and the target is missing";
  const named = words.length > 1 ? words : [words[0] ?? "SOURCE", "TARGET"];
  return usageError(
    `Cannot ask: this is not a terminal${missing}; write ${[...programWords(), "convert", ...named].join(" ")}`,
  );
}

/** Of several files, the last one is the target where it does not exist. */
function sourcesAndTarget(files: readonly string[]): Pick<WizardRequest, "sources" | "target"> {
  const last = files.at(-1);
  const isTarget = files.length > 1 && last !== undefined && isMissing(last);
  return { sources: isTarget ? files.slice(0, -1) : files, target: isTarget ? last : undefined };
}

function isMissing(path: string): boolean {
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return false;
  try {
    Deno.lstatSync(path);
    return false;
  } catch {
    return true;
  }
}

async function work({ sources, target, accessible, ascii }: WizardRequest, context: CommandContext): Promise<number> {
  const { signal } = context;
  const unicode = !accessible && !ascii;
  const prompter = await (accessible ? plainPrompterOf(context) : drawnPrompter(unicode, signal));
  const host = wizardHost(explainWith(prompter));
  const wizard = { prompter, host, formats: allFormats, unicode, sources, target };
  let code = SIGNAL_EXIT.SIGINT;
  let from: Progress | undefined;
  for (;;) {
    prompter.begin(from === undefined ? "diskcast: convert a disk image" : "diskcast: once more");
    const asked = await askAll(wizard, from);
    if (asked === null) {
      prompter.end(from === undefined ? "Left; nothing was written" : "Left");
      return SIGNAL_EXIT[signal.reason as keyof typeof SIGNAL_EXIT] ?? code;
    }
    prompter.end(asked.jobs.length === 1 ? commandLine(asked.jobs[0]!, WINDOWS) : `${asked.jobs.length} conversions`);
    const codes = await convertEach(asked.jobs, progressArgs(accessible, unicode, asked.jobs.length > 1), context);
    const failed = asked.sources.filter((_, at) => codes[at] !== 0);
    code = codes.find((one) => one !== 0) ?? 0;
    if (failed.length === 0 || signal.aborted || code >= SIGNAL) return code;
    prompter.begin("diskcast");
    const next = await prompter.choose(failedQuestion(failed.length, codes.length));
    if (typeof next === "symbol" || next === "leave") {
      prompter.end("Left");
      return code;
    }
    const answers = answersForSome(asked.answers, asked.sources, failed, allFormats);
    from = { answers, sources: failed, step: next as Step };
  }
}

/** Exit codes from here on are those of signals: the user has ended the job. */
const SIGNAL = 128;

/** Converts one source after the other; returns the exit code of each. A failure does not end the others, a signal does. */
async function convertEach(
  jobs: readonly (readonly string[])[],
  progress: readonly string[],
  context: CommandContext,
): Promise<readonly number[]> {
  const { io, signal } = context;
  const codes: number[] = [];
  for (const [at, args] of jobs.entries()) {
    if (signal.aborted || codes.some((code) => code >= SIGNAL)) break;
    if (jobs.length > 1) io.err(`\n${at + 1} of ${jobs.length}: ${visible(commandLine(args, WINDOWS))}\n`);
    codes.push(await runNamed("convert", [...progress, ...args.slice(1)], context));
  }
  if (jobs.length > 1) io.err(`\n${summaryLines(jobs, codes).map((line) => `${visible(line)}\n`).join("")}`);
  return codes;
}

/** Returns a line for each conversion: its files, and how it ended. */
export function summaryLines(jobs: readonly (readonly string[])[], codes: readonly number[]): string[] {
  return jobs.map((args, at) => {
    const end = codes[at] === undefined ? "not started" : codes[at] === 0 ? "done" : "failed";
    return `${end}: ${args.at(-2)} -> ${args.at(-1)}`;
  });
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

/** Returns the arguments of `convert` for progress in the form of the questions; a line for each of several sources. */
function progressArgs(accessible: boolean, unicode: boolean, several: boolean): string[] {
  if (accessible) return ["--accessible"];
  return [`--progress=${several ? "bar" : "screen"}`, ...(unicode ? [] : ["--ascii"])];
}
