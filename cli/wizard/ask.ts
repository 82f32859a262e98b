/**
 * Asks the questions of the wizard one by one, back and forth, up to the arguments of `convert`. Writes nothing.
 *
 * @module
 */
import { typedNameProblem } from "../args/names.ts";
import { ImageError } from "../../mod.ts";
import type { ConvertJob, Format } from "../../mod.ts";
import { usageError } from "../args/usage.ts";
import { parseConvert } from "../commands/convert.ts";
import { denoCommand, programPath } from "../permissions.ts";
import { diagnosticOf } from "../report/report.ts";
import {
  adjacentStep,
  type Answers,
  argsOf,
  commandLine,
  destinationOf,
  outputProblem,
  type SourceInfo,
  type Step,
  suggestedOutput,
  type TargetDevice,
  type WizardContext,
} from "./answers.ts";
import { deviceLines, deviceListLines, deviceProblem, deviceQuestion } from "./devices.ts";
import { permissionsFor, targetPermission, type WizardHost } from "./host.ts";
import { BACK, LEAVE, type Navigation, type Prompter } from "./prompter.ts";
import { brokenLines, choiceFor, destinationNotes, reviewLines, sourceLines, unsupportedLines } from "./questions.ts";

const WINDOWS = Deno.build.os === "windows";

/** Dependencies and settings of the wizard. */
export interface Wizard {
  readonly prompter: Prompter;
  readonly host: WizardHost;
  readonly formats: readonly Format[];
  /** Whether characters beyond ASCII may be written. */
  readonly unicode: boolean;
  /** Path of the source; absent: ask for it. */
  readonly source?: string | undefined;
}

/** Asks all questions; returns the arguments of `convert`, or `null` where the user has left. */
export async function askAll(wizard: Wizard): Promise<string[] | null> {
  const { prompter, host, formats } = wizard;
  let answers: Answers = {};
  let source: SourceInfo | undefined;
  let targetDevice: TargetDevice | undefined;
  let step: Step = "source";
  let given = wizard.source;
  const context = (): WizardContext => ({
    formats,
    source,
    targetExists: answers.output !== undefined && host.exists(answers.output),
    targetDevice,
  });
  const unsupported = unsupportedLines(context());
  if (unsupported.length > 0) prompter.note("Not yet possible", unsupported);
  for (;;) {
    const answer: Answers | Navigation | "run" = step === "source"
      ? await askSource(wizard, answers, given, (info) => source = info)
      : step === "output"
      ? await askOutput(wizard, answers, (device) => targetDevice = device)
      : step === "device"
      ? await askDevice(wizard, answers, targetDevice!)
      : step === "review"
      ? await review(wizard, answers, context())
      : await askChoice(wizard, step, answers, context());
    given = undefined;
    if (answer === LEAVE) return null;
    if (answer === "run") return argsOf(answers, context());
    if (answer !== BACK) answers = answer;
    // For a target that exists and must not be replaced, the path is asked for again.
    const again: boolean = step === "overwrite" && answer !== BACK && answers.overwrite !== "yes";
    step = adjacentStep(step, answer === BACK || again ? -1 : 1, answers, context()) ?? step;
  }
}

async function askSource(
  { prompter, host, unicode }: Wizard,
  answers: Answers,
  given: string | undefined,
  found: (info: SourceInfo) => void,
): Promise<Answers | Navigation> {
  for (let path: string | undefined = given;; path = undefined) {
    const answer: string | Navigation = path ?? await prompter.text({
      message: "Which disk image is to be converted?",
      initial: answers.source ?? "",
      validate: sourceProblem,
      complete: host.complete,
    });
    if (typeof answer === "symbol") return answer;
    try {
      const info = await host.inspect(answer);
      if ("error" in info) {
        prompter.note(answer, brokenLines(info, unicode));
        prompter.error(info.error);
        continue;
      }
      found(info);
      prompter.note(answer, sourceLines(info, unicode));
      // The answers that depend on another source are asked for again.
      const { snapshot: _, backing: __, size: ___, ...rest } = answers;
      return answer === answers.source ? answers : { ...rest, source: answer };
    } catch (error) {
      prompter.error(messageOf(error));
    }
  }
}

function sourceProblem(path: string): string | undefined {
  if (path.trim() === "") return "Give the path of a disk image";
  return /[/\\]$/.test(path) ? "That is a folder: type on, or press Tab" : typedNameProblem(path);
}

function messageOf(error: unknown): string {
  return diagnosticOf(error, { command: "wizard", stage: "work" }).message;
}

/** `found`: receives the block device that the answer is; `undefined` for a file. */
async function askOutput(
  { prompter, host, formats }: Wizard,
  answers: Answers,
  found: (device: TargetDevice | undefined) => void,
): Promise<Answers | Navigation> {
  if (destinationOf(answers)?.name === "usb") {
    prompter.note("Disks of this machine", deviceListLines(await host.devices()));
  }
  for (let initial = answers.output ?? suggestedOutput(answers, formats, host.exists);;) {
    const answer = await prompter.text({
      message: "Where is the new file to go?",
      initial,
      validate: (text) => outputProblem(text, answers, formats),
    });
    if (typeof answer === "symbol") return answer;
    if (!await host.request(targetPermission(answer))) prompter.error(`Deno was not allowed to look at "${answer}"`);
    try {
      const device = await host.device(answer);
      const problem = device === null ? undefined : deviceProblem(device);
      if (problem === undefined) {
        found(device ?? undefined);
        return { ...answers, output: answer };
      }
      prompter.error(problem);
    } catch (error) {
      prompter.error(messageOf(error));
    }
    initial = answer;
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

/** Shows the plan and asks whether to start; a plan that fails is shown as an error, and goes back. */
async function review(wizard: Wizard, answers: Answers, context: WizardContext): Promise<Answers | Navigation | "run"> {
  const { prompter, host, formats } = wizard;
  try {
    const args = argsOf(answers, context);
    const job = await jobOf(args, formats);
    const files = await host.files(job);
    const program = await programPath();
    if (!await host.request(permissionsFor(files, job.target.path))) {
      throw new ImageError("permission", "Deno was not allowed what the job needs");
    }
    const { plan, warnings } = await host.plan(job);
    const deno = denoCommand(files, program, args, WINDOWS);
    prompter.note(
      "What will be done",
      reviewLines({
        plan,
        warnings: [...warnings, ...deno.warnings],
        free: await host.freeSpace(job.target.path),
        device: context.targetDevice,
        command: commandLine(args, WINDOWS),
        denoCommand: deno.command,
      }),
    );
  } catch (error) {
    prompter.error(messageOf(error));
    return BACK;
  }
  const answer = await prompter.choose(choiceFor("review", answers, context));
  if (typeof answer === "symbol") return answer;
  if (answer === "digest") return { ...answers, digest: !answers.digest };
  return answer === "run" ? "run" : answer === "back" ? BACK : LEAVE;
}

/** Returns the job of the arguments, parsed as those of a command line. */
export async function jobOf(args: readonly string[], formats: readonly Format[]): Promise<ConvertJob> {
  const request = await parseConvert(args.slice(1), formats, WINDOWS);
  if (request.kind === "job") return request.job;
  throw usageError("Cannot make a job of the answers");
}
