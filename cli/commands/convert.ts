/**
 * The command `convert`: arguments to job, job to result, result to exit code.
 *
 * @module
 */
import { allFormats, convert, ImageError, jobFiles } from "../../mod.ts";
import type { ConvertJob, ConvertSummary, Format, OptionSpec } from "../../mod.ts";
import { parseArgs } from "../args/parse_args.ts";
import { requestOf } from "../args/convert_args.ts";
import type { ConvertRequest, ConvertView } from "../args/convert_args.ts";
import { convertCommand } from "./convert_options.ts";
import { convertExit } from "../exit_codes.ts";
import type { Arrival, Destination } from "../destinations/check.ts";
import { tell } from "../progress/progress.ts";
import type { Telling } from "../progress/progress.ts";
import { tellJob } from "../progress/choose.ts";
import { complaintOf, stackText, visible, wantsDebug } from "../report/report.ts";
import { onSignals } from "../process.ts";
import type { Io, Where } from "../report/report.ts";
import { sizeText } from "../report/units.ts";
import type { CommandContext } from "./command.ts";
import { helpOf } from "./run_command.ts";

const WINDOWS = Deno.build.os === "windows";

/** What `convert` is asked to do: a job, the options of a format, or its help. */
export type ParsedConvert = ConvertRequest | { readonly kind: "help"; readonly text: string };

/**
 * Reads the words after `convert`. Looks at no file.
 *
 * @throws ImageError `usage`, or `unsupported` for what qemu-img has and this program has not.
 */
export async function parseConvert(
  args: readonly string[],
  formats: readonly Format[] = allFormats,
  windows: boolean = WINDOWS,
): Promise<ParsedConvert> {
  const parsed = parseArgs(convertCommand, args);
  if (parsed === null) return { kind: "help", text: await helpOf(convertCommand) };
  return await requestOf(parsed, formats, windows);
}

/** What every format with backing files takes, besides its own options. */
const BACKING_OPTIONS: readonly OptionSpec[] = [
  { name: "backing_file", type: "file", help: "as -B" },
  { name: "backing_fmt", type: "text", help: "as -F" },
];

/** The creation options of a format, as `-o help` shows them. */
export function optionsText(format: Format): string {
  const specs = [...format.createOptions, ...(format.has.overlays ? BACKING_OPTIONS : [])];
  if (specs.length === 0) return `Format "${format.name}" has no creation options\n`;
  const rows = specs.map((spec) => [`  ${spec.name}=${valueText(spec)}`, aboutText(spec)] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`);
  return `Creation options of format "${format.name}":\n${lines.join("\n")}\n`;
}

function valueText(spec: OptionSpec): string {
  if (spec.type === "flag") return "on|off";
  return spec.type === "choice" ? (spec.values ?? []).join("|") : `<${spec.type}>`;
}

function aboutText(spec: OptionSpec): string {
  return spec.default === undefined ? spec.help : `${spec.help} (default: ${defaultText(spec.type, spec.default)})`;
}

function defaultText(type: OptionSpec["type"], value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return type === "size" && typeof value === "number" ? sizeText(value) : String(value);
}

async function work(
  job: ConvertJob,
  view: ConvertView,
  words: readonly string[],
  { io: given, signal: raised }: CommandContext,
): Promise<number> {
  const io = apartFrom(job.target.path, given);
  const telling = await tellJob({ job, view, words }, io, raised);
  const { signal, paused } = telling;
  // Without a listener, a user's habit from qemu-img and dd would end the process.
  const unwatch = onSignals(["SIGUSR1", "SIGINFO"], telling.status);
  try {
    view.warnings.forEach(telling.warn);
    const summary = await convert(job, { onEvent: telling.event, signal, ...(paused && { paused }) });
    if (view.destination) telling.phase("verify");
    const checked = view.destination && await arrivalAt(view.destination, summary);
    telling.end({ ok: true, code: 0, summary });
    // Whoever reads both sees it once; a program that reads the output always gets it.
    const told = telling.tellsDigest === true && io.outIsTerminal === true;
    if (summary.sha256 !== undefined && !told) {
      const { digestLine } = await import("../report/human.ts");
      io.out(digestLine(summary.sha256, job.target.path));
    }
    if (checked && !view.quiet && view.progress !== "json") {
      checked.lines.forEach((line) => io.err(`${visible(line)}\n`));
    }
    return 0;
  } catch (error) {
    return failed(error, "work", telling, io, signal);
  } finally {
    unwatch();
  }
}

/** Names of standard output. */
const STDOUT = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/** Where the target is standard output, everything else goes to standard error. */
function apartFrom(target: string, io: Io): Io {
  return STDOUT.includes(target) ? { ...io, out: (text) => io.err(text), outIsTerminal: io.errIsTerminal } : io;
}

/** Checks the finished file. It is there and complete, even where the destination will not have it. */
async function arrivalAt(destination: Destination, summary: ConvertSummary): Promise<Arrival> {
  const { arrival } = await import("../destinations/check.ts");
  const checked = await arrival(destination, summary, WINDOWS);
  if (checked.verdict.ok) return checked;
  const { verdictText } = await import("../destinations/rules.ts");
  const message = `"${summary.path}" is complete, but ${verdictText(destination.preset, checked.verdict)}`;
  throw new ImageError("unsupported", message, { path: summary.path });
}

/** Tells of a failure; the result is the exit code. */
function failed(error: unknown, stage: Where["stage"], telling: Telling, io: Io, signal: AbortSignal): number {
  const code = convertExit(error, signal);
  telling.end({ ok: false, code, complaint: complaintOf(error, { command: "convert", stage }) });
  if (wantsDebug()) io.err(stackText(error));
  return code;
}

/** Whether JSON is asked for, as far as words that cannot be read tell it. */
function wantsJson(args: readonly string[]): boolean {
  return args.some((word) => word.startsWith("--pro") && word.endsWith("=json"));
}

/** Runs `convert` with the words after its name; the result is the exit code. */
export async function runConvert(args: readonly string[], context: CommandContext): Promise<number> {
  const { io, signal } = context;
  let stage: Where["stage"] = "words";
  try {
    const request = await parseConvert(args);
    if (request.kind === "job" && !request.view.printPermissions) {
      return await work(request.job, request.view, args, context);
    }
    stage = "permissions";
    if (request.kind === "job") {
      const { printPermissions } = await import("../permissions.ts");
      await printPermissions(convertCommand, args, await jobFiles(request.job), io);
    } else io.out(request.kind === "help" ? request.text : optionsText(request.format));
    return 0;
  } catch (error) {
    return failed(error, stage, tell(wantsJson(args) ? "json" : "none", false, io), io, signal);
  }
}
