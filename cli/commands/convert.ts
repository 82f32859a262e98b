/**
 * The command `convert`.
 *
 * @module
 */
import { allFormats, convert, ImageError, jobFiles } from "../../mod.ts";
import type { ConvertJob, ConvertSummary, Format } from "../../mod.ts";
import { convertRequest } from "../args/convert_args.ts";
import type { ConvertRequest, ConvertView } from "../args/convert_args.ts";
import { creationOptionsText } from "../args/creation_options.ts";
import { parseArgs } from "../args/parse_args.ts";
import {
  allowRefOption,
  cacheOption,
  forceDeviceOption,
  objectOption,
  OUTPUT,
  permissionsOption,
  progressOptions,
  sectorSizeOptions,
} from "../args/read_options.ts";
import type { Destination, DestinationCheck } from "../destinations/check.ts";
import { convertExit } from "../exit_codes.ts";
import { onSignals, STATUS_SIGNALS } from "../process.ts";
import { conversionReporter, reporterFor } from "../progress/choose.ts";
import type { Reporter } from "../progress/progress.ts";
import { diagnosticFor, stackText, visible, wantsDebug } from "../report/report.ts";
import type { Io, Where } from "../report/report.ts";
import { helpOf, mayPrompt } from "./run_command.ts";
import type { CommandContext, LoadedCommand, OptionDef } from "./command.ts";

const WINDOWS = Deno.build.os === "windows";
const SOURCE = "Source";
const TARGET = "Target";
const COPYING = "Copying";
const PROGRESS_HELP =
  "--progress=auto, live, screen, bar, plain, json or none, on standard error; auto (default): a bar on a terminal, " +
  "elsewhere a line after a second and then every ten; screen: a map of the disk, run by run, with keys; " +
  "live: the screen where the terminal can show one, else as without this option; json: one event per line";

/** `convert`. */
export const convertCommand: LoadedCommand = {
  options: [
    {
      short: "f",
      long: "source-format",
      arg: "fmt",
      group: SOURCE,
      help: "format of every source (default: probed)",
    },
    { long: "image-opts", group: SOURCE, help: "sources are descriptions: driver=...,file.filename=..." },
    {
      short: "l",
      long: "snapshot",
      arg: "snapshot",
      group: SOURCE,
      help: "convert this internal snapshot: ID or name, or snapshot.id=ID,snapshot.name=NAME",
    },
    { short: "U", long: "force-share", group: SOURCE, help: "open sources although others are writing to them" },
    {
      long: "salvage",
      group: SOURCE,
      help: "skip read errors, and what a file lacks that is cut off: such data becomes zeroes, and is listed",
    },
    { ...cacheOption, long: "source-cache", group: SOURCE },
    { ...allowRefOption, group: SOURCE },
    {
      short: "O",
      long: "target-format",
      arg: "fmt",
      group: TARGET,
      help: "format of the target (default: by the ending of its name, else raw)",
    },
    {
      short: "o",
      long: "target-format-options",
      arg: "options",
      repeats: true,
      group: TARGET,
      help: 'key=value[,key=value...] for the new image; "-o help" lists them; can be repeated',
    },
    {
      long: "for",
      arg: "destination",
      group: TARGET,
      help:
        'write an image for this destination, check the file and print the next steps; "diskcast presets" lists them',
    },
    {
      short: "B",
      alias: "b",
      long: "backing",
      arg: "file",
      group: TARGET,
      help: "write only the data that differs from this backing file (also -b)",
    },
    { short: "F", long: "backing-format", arg: "fmt", group: TARGET, help: "format of the backing file" },
    { short: "c", long: "compress", group: TARGET, help: "compress the data, where the format can" },
    {
      long: "round",
      arg: "size",
      group: TARGET,
      help:
        "round the size of the disk up to a multiple of this: zeroes are added, the backup GPT moves to the new end",
    },
    ...sectorSizeOptions,
    { short: "n", long: "no-create", group: TARGET, help: "write into the target that exists, of format -O" },
    { long: "target-image-opts", group: TARGET, help: "the target is a description, see --image-opts; needs -n" },
    { ...forceDeviceOption, group: TARGET },
    { long: "target-is-zero", group: TARGET, help: "the existing target is known to read as zeroes; needs -n" },
    {
      short: "t",
      long: "target-cache",
      arg: "mode",
      group: TARGET,
      help: "writeback (default): on stable storage at the end; writethrough or directsync: after every write; " +
        "unsafe: never waited for; none or off: as writeback, the page cache stays in use",
    },
    {
      short: "S",
      long: "sparse-size",
      arg: "size",
      group: COPYING,
      help: "zeroes of at least this length become holes (default: 4k; 0: every byte is written)",
    },
    {
      long: "digest",
      group: COPYING,
      help: 'print the SHA-256 of the disk as it is converted, which "diskcast digest" prints for any of its images',
    },
    {
      long: "digest-algorithm",
      arg: "name",
      group: COPYING,
      help: "with the digest of this name, as digest --algorithm: sha256 or blocks-sha256",
    },
    { long: "bitmaps", group: COPYING, help: "copy the persistent dirty bitmaps of the source" },
    { long: "skip-broken-bitmaps", group: COPYING, help: "with --bitmaps: leave out those that cannot be trusted" },
    { short: "r", long: "rate-limit", arg: "rate", group: COPYING, help: "write at most this many bytes a second" },
    {
      long: "compression-level",
      arg: "level",
      group: COPYING,
      help: "with -c: 1 (fast) to 9, or to 22 with zstd (default: 6 or 9, as suits the data, or 3 with zstd)",
    },
    {
      short: "m",
      long: "parallel",
      arg: "number",
      group: COPYING,
      help: "number of workers that compress, decompress and copy, 1 to 16 (default: one per processor)",
    },
    {
      short: "W",
      long: "oob-writes",
      group: COPYING,
      help: "accepted; writes do not depend on each other's order anyway",
    },
    {
      short: "C",
      long: "copy-range-offloading",
      group: COPYING,
      help: "let the system copy data that both files hold unencoded, zeroes included (targets: raw, qcow2; needs " +
        "--allow-ffi, without it data is read and written); not with -c, -S, --salvage or --digest",
    },
    { ...objectOption, group: COPYING },
    ...progressOptions.map((one): OptionDef => one.long === "progress" ? { ...one, help: PROGRESS_HELP } : one),
    { long: "no-wait", group: OUTPUT, help: "leave the screen when the job has ended, without the page of the result" },
    { long: "bell", group: OUTPUT, help: "ring and notify the desktop at the end, where standard error is a terminal" },
    permissionsOption,
  ],
  notes: `Sizes take the suffixes k, M, G, T, P and E (powers of 1024). Several sources are concatenated.
Long options may be cut short where the rest is clear: --snap.

Examples:
  diskcast convert -p -O qcow2 disk.vmdk disk.qcow2
  diskcast convert --for azure disk.vmdk disk.vhd
  diskcast convert -c -O qcow2 -o compression_type=zstd disk.raw disk.qcow2
  diskcast convert -O qcow2 -B base.qcow2 -F qcow2 disk.qcow2 overlay.qcow2
  diskcast convert -O raw --image-opts driver=raw,offset=1M,size=100M,file.filename=disk.raw part.raw`,
  run: runConvert,
};

/** The request of the arguments, or for help. */
export type ParsedConvert = ConvertRequest | { readonly kind: "help" };

/**
 * Parses the arguments after `convert`. No file is opened.
 *
 * @throws ImageError `usage`, or `unsupported` for options of qemu-img that this program does not have
 */
export async function parseConvert(
  args: readonly string[],
  formats: readonly Format[] = allFormats,
  windows: boolean = WINDOWS,
  asQemuImg = false,
): Promise<ParsedConvert> {
  const parsed = parseArgs(convertCommand, args);
  return parsed === null ? { kind: "help" } : await convertRequest(parsed, formats, windows, asQemuImg);
}

async function runConvert(args: readonly string[], context: CommandContext): Promise<number> {
  const { def, io, signal } = context;
  let stage: Where["stage"] = "arguments";
  try {
    const request = await parseConvert(args, allFormats, WINDOWS, io.asQemuImg);
    switch (request.kind) {
      case "help":
        io.out(await helpOf(def));
        return 0;
      case "options":
        io.out(creationOptionsText(request.format));
        return 0;
      case "job":
    }
    if (!request.view.printPermissions) {
      if (mayPrompt(io)) {
        const { requestBeforeJob } = await import("../permissions.ts");
        await requestBeforeJob(() => jobFiles(request.job));
      }
      return await work(request.job, request.view, args, context);
    }
    stage = "permissions";
    const { printPermissions } = await import("../permissions.ts");
    await printPermissions(def, args, await jobFiles(request.job), io);
    return 0;
  } catch (error) {
    const progress = reporterFor({ progress: wantsJson(args) ? "json" : "none", quiet: false }, io);
    return await reportFailure(error, stage, progress, io, signal);
  }
}

/** Returns whether arguments that cannot be read ask for JSON. */
function wantsJson(args: readonly string[]): boolean {
  return args.some((arg) => arg.startsWith("--pro") && arg.endsWith("=json"));
}

async function work(
  job: ConvertJob,
  view: ConvertView,
  args: readonly string[],
  { io: terminal, signal: raised }: CommandContext,
): Promise<number> {
  const io = besideTarget(job.target.path, terminal);
  const progress = await conversionReporter({ job, view, args }, io, raised);
  const { signal, paused } = progress;
  const removeListeners = onSignals(STATUS_SIGNALS, progress.status);
  try {
    view.warnings.forEach((message) => progress.warn(message, true));
    const summary = await convert(job, { onEvent: progress.event, signal, ...(paused && { paused }) });
    if (view.destination) progress.phase("verify");
    const checked = view.destination && await checkResult(view.destination, summary);
    await progress.end({ ok: true, code: 0, summary });
    // On a terminal the screen has shown the digest already; a program that reads the output always gets it.
    const shown = progress.writesDigest === true && io.outIsTerminal === true;
    if ((summary.sha256 ?? summary.blocksSha256) !== undefined && !shown) {
      const { digestLine } = await import("../report/results.ts");
      io.out(digestLine(summary, job.target.path));
    }
    if (checked && !view.quiet && view.progress !== "json") {
      checked.lines.forEach((line) => io.err(`${visible(line)}\n`));
    }
    return 0;
  } catch (error) {
    return await reportFailure(error, "work", progress, io, signal);
  } finally {
    removeListeners();
    if (view.bell && io.errIsTerminal) {
      const { notification } = await import("../../tui/window.ts");
      io.err(notification(`${job.target.path}: the conversion has ended`));
    }
  }
}

/** Names of standard output. */
const STDOUT = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/** Returns `io` for the text of a conversion: where the target is standard output, all text goes to standard error. */
function besideTarget(target: string, io: Io): Io {
  if (!STDOUT.includes(target)) return io;
  const { later } = io;
  return {
    ...io,
    out: (text) => io.err(text),
    outIsTerminal: io.errIsTerminal,
    ...(later && { later: { out: later.err, err: later.err } }),
  };
}

/**
 * Checks the finished file for its destination.
 *
 * @throws ImageError `unsupported` where the destination would refuse it; the file stays
 */
async function checkResult(destination: Destination, summary: ConvertSummary): Promise<DestinationCheck> {
  const { checkForDestination } = await import("../destinations/check.ts");
  const checked = await checkForDestination(destination, summary, WINDOWS);
  if (checked.verdict.ok) return checked;
  const { verdictText } = await import("../destinations/rules.ts");
  const message = `"${summary.path}" is complete, but ${verdictText(destination.preset, checked.verdict)}`;
  throw new ImageError("unsupported", message, { path: summary.path });
}

/** Ends the progress with a failure; returns the exit code. */
async function reportFailure(
  error: unknown,
  stage: Where["stage"],
  progress: Reporter,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const code = convertExit(error, signal);
  await progress.end({
    ok: false,
    code,
    diagnostic: await diagnosticFor(error, { command: "convert", stage }, io),
  });
  if (wantsDebug()) io.err(stackText(error));
  return code;
}
