/**
 * The command `wizard`: asks question by question, back and forth, and then runs what was answered.
 *
 * @module
 */
import { allFormats, ImageError } from "../../mod.ts";
import type { ConvertJob, Format } from "../../mod.ts";
import { isOn } from "../args/parse_args.ts";
import { usageError } from "../args/usage.ts";
import { SIGNAL_EXIT } from "../exit_codes.ts";
import { denoCommand, programPath } from "../permissions.ts";
import { isSet } from "../process.ts";
import { diagnosticOf, type Io } from "../report/report.ts";
import { BACK, LEAVE, type Prompter, type Way } from "../wizard/prompter.ts";
import {
  type Answers,
  commandLine,
  neighbour,
  outputFault,
  type SourceFacts,
  type Step,
  suggestedOutput,
  wordsOf,
  type World,
} from "../wizard/wizard.ts";
import { targetWanted, type Wanted, wantedFor, type WizardHost, wizardHost } from "../wizard/host.ts";
import { brokenLines, choiceFor, lackLines, placeLines, reviewLines, sourceLines } from "../wizard/questions.ts";
import { parseConvert } from "./convert.ts";
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
  notes: `Only in a terminal; "diskcast" alone does the same. Esc goes back one question, Ctrl-C leaves.

Examples:
  diskcast wizard disk.vmdk`,
  run: (args, context) => runCommand({ read: wizardRequest, work }, args, context),
};

/** What a run of questions needs. */
export interface Asking {
  readonly prompter: Prompter;
  readonly host: WizardHost;
  readonly formats: readonly Format[];
  /** Whether characters beyond ASCII may be shown. */
  readonly unicode: boolean;
  /** The source, where it was given. */
  readonly source?: string | undefined;
}

/** Asks everything; the words of the command, or `null` where the user has left. Writes nothing. */
export async function askAll(asking: Asking): Promise<string[] | null> {
  const { prompter, host, formats } = asking;
  let answers: Answers = {};
  let source: SourceFacts | undefined;
  let step: Step = "source";
  let given = asking.source;
  const world = (): World => ({
    formats,
    source,
    taken: answers.output !== undefined && host.exists(answers.output),
  });
  const lacks = lackLines(world());
  if (lacks.length > 0) prompter.note("Not yet possible", lacks);
  for (;;) {
    const answer: Answers | Way | "run" = step === "source"
      ? await askSource(asking, answers, given, (facts) => source = facts)
      : step === "output"
      ? await askOutput(asking, answers)
      : step === "review"
      ? await review(asking, answers, world())
      : await askChoice(asking, step, answers, world());
    given = undefined;
    if (answer === LEAVE) return null;
    if (answer === "run") return wordsOf(answers, world());
    if (answer !== BACK) answers = answer;
    // A name that is taken and not to be replaced is asked for again.
    const again: boolean = step === "overwrite" && answer !== BACK && answers.overwrite !== "yes";
    step = neighbour(step, answer === BACK || again ? -1 : 1, answers, world()) ?? step;
  }
}

async function askSource(
  { prompter, host, unicode }: Asking,
  answers: Answers,
  given: string | undefined,
  found: (facts: SourceFacts) => void,
): Promise<Answers | Way> {
  for (let path: string | undefined = given;; path = undefined) {
    const answer: string | Way = path ?? await prompter.text({
      message: "Which disk image is to be converted?",
      initial: answers.source ?? "",
      validate: sourceFault,
      complete: host.complete,
    });
    if (typeof answer === "symbol") return answer;
    try {
      const facts = await host.inspect(answer);
      if ("fault" in facts) {
        prompter.note(answer, brokenLines(facts, unicode));
        prompter.complain(facts.fault);
        continue;
      }
      found(facts);
      prompter.note(answer, sourceLines(facts, unicode));
      // Answers that hang on another source are asked anew.
      const { snapshot: _, backing: __, size: ___, ...rest } = answers;
      return answer === answers.source ? answers : { ...rest, source: answer };
    } catch (error) {
      prompter.complain(messageOf(error));
    }
  }
}

function sourceFault(path: string): string | undefined {
  if (path.trim() === "") return "Give the path of a disk image";
  return /[/\\]$/.test(path) ? "That is a folder: type on, or press Tab" : undefined;
}

function messageOf(error: unknown): string {
  return diagnosticOf(error, { command: "wizard", stage: "work" }).message;
}

async function askOutput({ prompter, host, formats }: Asking, answers: Answers): Promise<Answers | Way> {
  const answer = await prompter.text({
    message: "Where is the new file to go?",
    initial: answers.output ?? suggestedOutput(answers, formats, host.exists),
    validate: (text) => outputFault(text, answers, formats),
  });
  if (typeof answer === "symbol") return answer;
  if (!await host.allow(targetWanted(answer))) prompter.complain(`Deno was not allowed to look at "${answer}"`);
  return { ...answers, output: answer };
}

async function askChoice(
  { prompter }: Asking,
  step: Exclude<Step, "source" | "output" | "review">,
  answers: Answers,
  world: World,
): Promise<Answers | Way> {
  const answer = await prompter.choose(choiceFor(step, answers, world));
  if (typeof answer === "symbol") return answer;
  if (step !== "place") return { ...answers, [step]: answer };
  // Another destination writes another format, under another name.
  const { format: _, output: __, ...rest } = answers;
  const next = answer === answers.place ? answers : { ...rest, place: answer };
  const lines = placeLines(next);
  if (lines.length > 0) prompter.note("Good to know", lines);
  return next;
}

/** Shows the plan; a plan that cannot be made is said, and the way is back. */
async function review(asking: Asking, answers: Answers, world: World): Promise<Answers | Way | "run"> {
  const { prompter, host, formats } = asking;
  try {
    const words = wordsOf(answers, world);
    const job = await jobOf(words, formats);
    const files = await host.files(job);
    const wanted = wantedFor(files, job.target.path);
    const program = await programPath();
    if (!await host.allow(wanted)) throw new ImageError("permission", "Deno was not allowed what the job needs");
    const { plan, warnings } = await host.plan(job);
    const deno = denoCommand(files, program, words, WINDOWS);
    prompter.note(
      "What will be done",
      reviewLines({
        plan,
        warnings: [...warnings, ...deno.warnings],
        free: await host.freeSpace(job.target.path),
        command: commandLine(words, WINDOWS),
        denoCommand: deno.command,
      }),
    );
  } catch (error) {
    prompter.complain(messageOf(error));
    return BACK;
  }
  const answer = await prompter.choose(choiceFor("review", answers, world));
  if (typeof answer === "symbol") return answer;
  if (answer === "digest") return { ...answers, digest: !answers.digest };
  return answer === "run" ? "run" : answer === "back" ? BACK : LEAVE;
}

/** The job that the words make: the same way as on the command line. */
export async function jobOf(words: readonly string[], formats: readonly Format[]): Promise<ConvertJob> {
  const request = await parseConvert(words.slice(1), formats, WINDOWS);
  if (request.kind === "job") return request.job;
  throw usageError("Cannot make a job of the answers");
}

/** How the copy is shown: as the questions were. */
export function progressWords(accessible: boolean, unicode: boolean): string[] {
  if (accessible) return ["--accessible"];
  return ["--progress=screen", ...(unicode ? [] : ["--ascii"])];
}

function explainWith(prompter: Prompter): (wanted: readonly Wanted[]) => void {
  return (wanted) =>
    prompter.note("Permissions", [
      "Deno will now ask whether this program may",
      ...wanted.map(({ name, path, why }) => `  ${name} ${path}, ${why}`),
      "More is not needed for this step. Answer y; n goes back without harm.",
    ]);
}

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
      "Cannot ask: this is not a terminal, and the target is missing; write diskcast convert SOURCE TARGET",
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
  const prompter = accessible
    ? await plain(context)
    : await (await import("../wizard/clack_prompter.ts")).clackPrompter(
      { ascii: !unicode, color: !Deno.noColor },
      signal,
    );
  prompter.begin("diskcast: convert a disk image");
  const host = wizardHost(explainWith(prompter));
  const words = await askAll({ prompter, host, formats: allFormats, unicode, source });
  if (words === null) {
    prompter.end("Left; nothing was written");
    return SIGNAL_EXIT[signal.reason as keyof typeof SIGNAL_EXIT] ?? SIGNAL_EXIT.SIGINT;
  }
  prompter.end(commandLine(words, WINDOWS));
  return await runNamed("convert", [...progressWords(accessible, unicode), ...words.slice(1)], context);
}

async function plain({ io, signal }: CommandContext): Promise<Prompter> {
  const { plainPrompter, terminalLines } = await import("../wizard/plain_prompter.ts");
  return plainPrompter(terminalLines((text) => io.err(text), signal));
}
