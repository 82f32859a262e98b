/**
 * The frame of a command: words to a request, the request to work, failures to a message and an exit code.
 *
 * @module
 */
import type { ConvertEvent, JobFiles, ScanEvent } from "../../mod.ts";
import { parseArgs } from "../args/parse_args.ts";
import { convertExit } from "../exit_codes.ts";
import type { ProgressView, Telling } from "../progress/progress.ts";
import { complaintOf, complaintText, type Io, stackText, wantsDebug, type Where } from "../report/report.ts";
import { onSignals } from "../process.ts";
import type { CommandContext, CommandDef, ParsedArgs } from "./command.ts";

/** A command in its parts. */
export interface CommandWork<Request> {
  readonly def: CommandDef;
  /** Reads the words; looks at no file. A text is to be printed instead of work. */
  read(parsed: ParsedArgs): Request | string | Promise<Request | string>;
  /** The files that it touches, for `--print-permissions`. */
  files(request: Request): Promise<JobFiles>;
  /** Does it; the result is the exit code. */
  work(request: Request, context: CommandContext): Promise<number>;
}

/** Runs a command with the words after its name; the result is the exit code. */
export async function runCommand<Request>(
  command: CommandWork<Request>,
  args: readonly string[],
  context: CommandContext,
): Promise<number> {
  const { def } = command;
  let stage: Where["stage"] = "words";
  try {
    const parsed = parseArgs(def, args);
    const request = parsed === null ? await helpOf(def) : await command.read(parsed);
    if (typeof request === "string") {
      context.io.out(request);
      return 0;
    }
    if (parsed?.options["print-permissions"] === true) {
      stage = "permissions";
      const { printPermissions } = await import("../permissions.ts");
      await printPermissions(def, args, await command.files(request), context.io);
      return 0;
    }
    stage = "work";
    return await command.work(request, context);
  } catch (error) {
    return complain(error, { command: def.name, stage }, context);
  }
}

/** The help of a command. */
export async function helpOf(def: CommandDef): Promise<string> {
  return (await import("../args/help.ts")).commandHelp(def);
}

/** Tells of a failure; the result is the exit code: that of a signal, else `code`. */
export function complain(error: unknown, where: Where, { io, signal }: CommandContext, code = 1): number {
  io.err(complaintText(complaintOf(error, where)));
  return codeOf(error, io, signal, code);
}

function codeOf(error: unknown, io: Io, signal: AbortSignal, code: number): number {
  if (wantsDebug()) io.err(stackText(error));
  const exit = convertExit(error, signal);
  return exit > 1 ? exit : code;
}

/** What a command says of a piece of work. */
export interface Watched {
  readonly view: ProgressView;
  /** For the hints. */
  readonly command: string;
  /** What the copying phase is called. */
  readonly label: string;
  /** The exit code of a failure; default 1. */
  readonly failure?: () => number;
}

/** Shows the progress of `work`, and how it ended; the result is the exit code. */
export async function watch(
  { view, command, label, failure = () => 1 }: Watched,
  { io, signal }: CommandContext,
  work: (tell: (event: ConvertEvent | ScanEvent) => void, telling: Telling) => Promise<number>,
): Promise<number> {
  const { tellFor } = await import("../progress/progress.ts");
  const telling = tellFor(view, io, label);
  // Without a listener, a user's habit from qemu-img and dd would end the process.
  const unwatch = onSignals(["SIGUSR1", "SIGINFO"], telling.status);
  try {
    return await work(telling.event, telling);
  } catch (error) {
    const code = codeOf(error, io, signal, failure());
    telling.end({ ok: false, code, complaint: complaintOf(error, { command, stage: "work" }) });
    return code;
  } finally {
    unwatch();
  }
}
