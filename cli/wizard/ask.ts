/**
 * Asks the questions of the wizard one by one, back and forth, up to the arguments of `convert`. Writes nothing but
 * folders that the user asks for.
 *
 * @module
 */
import { type ConvertJob, type Format, ImageError } from "../../mod.ts";
import { usageError } from "../args/usage.ts";
import { parseConvert } from "../commands/convert.ts";
import { denoCommand, programPath } from "../permissions.ts";
import {
  adjacentStep,
  type Answers,
  argsOf,
  commandLine,
  type Step,
  type TargetDevice,
  type WizardContext,
} from "./answers.ts";
import { askOutput, askSources } from "./ask_paths.ts";
import { deviceBytes, deviceLines, deviceQuestion } from "./devices.ts";
import { permissionsFor } from "./host.ts";
import { BACK, LEAVE, type Navigation } from "./prompter.ts";
import { choiceFor, commandLines, destinationNotes, reviewLines, unsupportedLines } from "./questions.ts";
import { answersOfEach, mendingStep, type OpenedSource } from "./targets.ts";
import { reportError, type Wizard } from "./wizard.ts";

const WINDOWS = Deno.build.os === "windows";

/** The answers up to a question, to go on from there. */
export interface Progress {
  readonly answers: Answers;
  readonly sources: readonly OpenedSource[];
  readonly step: Step;
}

/** All answers, and what follows from them. */
export interface Asked extends Progress {
  /** The arguments of `convert` for each source. */
  readonly jobs: readonly (readonly string[])[];
}

/**
 * Asks all questions; returns the jobs, or `null` where the user has left.
 *
 * @param from answers of an earlier time, to go on from one of the questions
 */
export async function askAll(wizard: Wizard, from?: Progress): Promise<Asked | null> {
  const { prompter, host, formats } = wizard;
  let { answers, sources, step }: Progress = from ?? { answers: {}, sources: [], step: "source" };
  let targetDevice: TargetDevice | undefined;
  let given = from === undefined ? wizard.sources ?? [] : [];
  const lastDestination = host.lastDestination();
  const each = () => answersOfEach(answers, sources, formats);
  const context = (): WizardContext => {
    const existing = each().flatMap(({ output }) => output !== undefined && host.exists(output) ? [output] : []);
    return {
      formats,
      source: sources[0]?.info,
      several: sources.length > 1,
      existing,
      targetExists: existing.length > 0,
      targetDevice,
      lastDestination,
    };
  };
  const jobs = () => each().map((one, at) => argsOf(one, { ...context(), source: sources[at]?.info }));
  const unsupported = unsupportedLines(context());
  if (from === undefined && unsupported.length > 0) prompter.note("Not yet possible", unsupported);
  for (;;) {
    const answer: Answers | Navigation | "run" | { readonly mend: Step } = step === "source"
      ? await askSources(wizard, answers, given, (found) => sources = found)
      : step === "output"
      ? await askOutput(wizard, answers, sources, (device) => targetDevice = device)
      : step === "device"
      ? await askDevice(wizard, answers, targetDevice!)
      : step === "review"
      ? await review(wizard, answers, sources, context(), jobs())
      : await askChoice(wizard, step, answers, context());
    given = [];
    if (answer === LEAVE) return null;
    if (answer === "run") {
      if (answers.destination) host.rememberDestination(answers.destination);
      return { jobs: jobs(), answers, sources, step };
    }
    if (typeof answer === "object" && "mend" in answer) {
      step = answer.mend;
      continue;
    }
    if (answer !== BACK) answers = answer;
    // For a target that exists and must not be replaced, the path is asked for again.
    const again: boolean = step === "overwrite" && answer !== BACK && answers.overwrite !== "yes";
    step = adjacentStep(step, answer === BACK || again ? -1 : 1, answers, context()) ?? step;
  }
}

/** Asks for the name of the device, before it is written. */
async function askDevice({ prompter }: Wizard, answers: Answers, device: TargetDevice): Promise<Answers | Navigation> {
  prompter.note(device.path, deviceLines(device));
  const answer = await prompter.text(deviceQuestion(device));
  return typeof answer === "symbol" ? answer : { ...answers, device: answer };
}

async function askChoice(
  { prompter }: Wizard,
  step: Exclude<Step, "source" | "output" | "device" | "review">,
  answers: Answers,
  context: WizardContext,
): Promise<Answers | Navigation> {
  const answer = await prompter.choose(choiceFor(step, answers, context));
  if (typeof answer === "symbol") return answer;
  if (step !== "destination") return { ...answers, [step]: answer };
  // Another destination writes another format, under another name.
  const { format: _, output: __, ...rest } = answers;
  const next = answer === answers.destination ? answers : { ...rest, destination: answer };
  const notes = destinationNotes(next, context.source?.contents);
  if (notes.length > 0) prompter.note("Good to know", notes);
  return next;
}

/** Shows the plans and asks whether to start. A plan that fails is shown as an error, with the question to mend. */
async function review(
  wizard: Wizard,
  answers: Answers,
  sources: readonly OpenedSource[],
  context: WizardContext,
  jobs: readonly (readonly string[])[],
): Promise<Answers | Navigation | "run" | { readonly mend: Step }> {
  const { prompter } = wizard;
  let tooLittleSpace: boolean;
  try {
    tooLittleSpace = await showPlans(wizard, context, jobs);
  } catch (error) {
    await reportError(wizard, error, answers.source);
    return { mend: mendingStep(error, sources) };
  }
  for (;;) {
    const answer = await prompter.choose(
      choiceFor("review", answers, { ...context, tooLittleSpace, canCopy: prompter.copy !== undefined }),
    );
    if (typeof answer === "symbol") return answer;
    if (answer === "digest") return { ...answers, digest: !answers.digest };
    if (answer !== "copy") return answer === "run" ? "run" : answer === "back" ? BACK : LEAVE;
    prompter.copy?.(jobs.map((args) => commandLine(args, WINDOWS)).join("\n"));
    prompter.lines(["The command is on the clipboard, where the terminal allows it (OSC 52)."]);
  }
}

/** Shows the plan of each job and the commands; returns whether the space for all of them may be too little. */
async function showPlans(
  { prompter, host, formats }: Wizard,
  context: WizardContext,
  jobs: readonly (readonly string[])[],
): Promise<boolean> {
  const program = await programPath();
  const denoCommands: string[] = [];
  let free: number | undefined;
  let predicted = 0;
  for (const [at, args] of jobs.entries()) {
    const job = await jobOf(args, formats);
    const { path } = job.target;
    const files = await host.files(job);
    if (!await host.request(permissionsFor(files, path))) {
      throw new ImageError("permission", "Deno was not allowed what the job needs", { path });
    }
    const { plan, warnings } = await host.plan(job);
    const deno = denoCommand(files, program, args, WINDOWS);
    denoCommands.push(deno.command);
    free = await host.freeSpace(path);
    predicted += context.targetDevice ? deviceBytes(plan) : plan.predicted;
    const lines = { plan, warnings: [...warnings, ...deno.warnings], free, device: context.targetDevice };
    prompter.note(
      jobs.length === 1 ? "What will be done" : `What will be done, ${at + 1} of ${jobs.length}`,
      reviewLines(lines),
    );
  }
  prompter.lines(commandLines(jobs.map((args) => commandLine(args, WINDOWS)), denoCommands));
  const room = context.targetDevice?.size ?? free;
  return room !== undefined && room < predicted;
}

/** Returns the job of the arguments, parsed as those of a command line. */
export async function jobOf(args: readonly string[], formats: readonly Format[]): Promise<ConvertJob> {
  const request = await parseConvert(args.slice(1), formats, WINDOWS);
  if (request.kind === "job") return request.job;
  throw usageError("Cannot make a job of the answers");
}
