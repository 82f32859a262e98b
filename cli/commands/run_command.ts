/**
 * Runs commands: reads the arguments into a request, does its work, and turns failures into a message and an exit code.
 *
 * @module
 */
import type { ConvertEvent, ConvertSummary, JobFiles, ScanEvent, WarningListener } from "../../mod.ts";
import { isOn, parseArgs } from "../args/parse_args.ts";
import { convertExit } from "../exit_codes.ts";
import { onSignals, STATUS_SIGNALS } from "../process.ts";
import type { ProgressView } from "../progress/progress.ts";
import {
  type Diagnostic,
  diagnosticFor,
  diagnosticText,
  type Io,
  stackText,
  wantsDebug,
  type Where,
} from "../report/report.ts";
import type { CommandContext, CommandDef, ParsedArgs } from "./command.ts";

/** The parts of a command. */
export interface CommandWork<Request> {
  /** Returns the request of the arguments, without opening a file; a string is printed in place of the work. */
  read(parsed: ParsedArgs, io: Io): Request | string | Promise<Request | string>;
  /** Returns the files that the request touches, for `--print-permissions`. */
  files?(request: Request): Promise<JobFiles>;
  /** Does the work; returns the exit code. */
  work(request: Request, context: CommandContext): Promise<number>;
}

/** Runs a command with the arguments after its name; returns the exit code. */
export async function runCommand<Request>(
  { read, files, work }: CommandWork<Request>,
  args: readonly string[],
  context: CommandContext,
): Promise<number> {
  const { def, io, signal } = context;
  let stage: Where["stage"] = "arguments";
  try {
    const parsed = parseArgs(def, args);
    const request = parsed === null ? await helpOf(def) : await read(parsed, io);
    if (typeof request === "string") {
      io.out(request);
      return 0;
    }
    if (files !== undefined && isOn(parsed!, "print-permissions")) {
      stage = "permissions";
      const { printPermissions } = await import("../permissions.ts");
      await printPermissions(def, args, await files(request), io);
      return 0;
    }
    stage = "work";
    if (files !== undefined && mayPrompt(io)) {
      const { requestBeforeJob } = await import("../permissions.ts");
      await requestBeforeJob(() => files(request));
    }
    return await work(request, context);
  } catch (error) {
    io.err(diagnosticText(await diagnosticFor(error, { command: def.name, stage }, io)));
    return failureCode(error, io, signal, 1);
  }
}

/** Returns whether Deno may prompt for files during a job: in a terminal, unless all files are granted. */
export function mayPrompt({ errIsTerminal, inIsTerminal }: Io): boolean {
  if (!errIsTerminal || !inIsTerminal) return false;
  return (["read", "write"] as const).some((name) => Deno.permissions.querySync({ name }).state !== "granted");
}

/** Returns the help of a command. */
export async function helpOf(def: CommandDef): Promise<string> {
  return (await import("../args/help.ts")).commandHelp(def);
}

/**
 * Returns the exit code of a failure: that of the signal that ended the job, else `code`. Prints the stack if wanted.
 */
function failureCode(error: unknown, io: Io, signal: AbortSignal, code: number): number {
  if (wantsDebug()) io.err(stackText(error));
  const exit = convertExit(error, signal);
  return exit > 1 ? exit : code;
}

/** How the progress of a job is shown. */
export interface JobProgress {
  readonly view: ProgressView;
  /** Label of the main phase. */
  readonly label: string;
  /** Returns the exit code of a failure; default: 1. */
  readonly failureCode?: () => number;
}

/** Options of a job: its callbacks, and the signal that cancels it. */
export interface JobHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: ConvertEvent | ScanEvent) => void;
  readonly onWarning: WarningListener;
}

/** The end of a job. */
export interface JobResult {
  /** The exit code; default: 0. */
  readonly code?: number;
  readonly summary?: ConvertSummary;
  /** Set where the job could not be done. */
  readonly failure?: Diagnostic;
  /** Printed to standard error and standard output after the progress. */
  readonly err?: string;
  readonly out?: string;
}

/** Runs a job, shows its progress and prints its result; returns the exit code. */
export async function runJob(
  { view, label, failureCode: codeOf = () => 1 }: JobProgress,
  { def, io, signal }: CommandContext,
  job: (hooks: JobHooks) => Promise<JobResult>,
): Promise<number> {
  const { reporterFor } = await import("../progress/choose.ts");
  const progress = reporterFor(view, io, label);
  const removeListeners = onSignals(STATUS_SIGNALS, progress.status);
  try {
    const { code = 0, summary, failure, err, out } = await job({
      signal,
      onEvent: progress.event,
      onWarning: progress.warn,
    });
    await progress.end(failure ? { ok: false, code, diagnostic: failure } : { ok: true, code, summary });
    if (err) io.err(err);
    if (out) io.out(out);
    return code;
  } catch (error) {
    const code = failureCode(error, io, signal, codeOf());
    await progress.end({
      ok: false,
      code,
      diagnostic: await diagnosticFor(error, { command: def.name, stage: "work" }, io),
    });
    return code;
  } finally {
    removeListeners();
  }
}
