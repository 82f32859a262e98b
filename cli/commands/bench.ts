/**
 * The command `bench`.
 *
 * @module
 */
import { bench, changeFiles, ImageError, imageFiles, parseNumber, parseSize } from "../../mod.ts";
import type { BenchJob, BenchWrite, ChangeOptions, ImageSpec } from "../../mod.ts";
import { benchCommand } from "./bench_options.ts";
import { changingOne, refuseShared } from "../args/edit_args.ts";
import { isOn, readingOfOne, syncOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

/** The largest count, depth or size, as with qemu-img. */
const MOST = 2 ** 31 - 1;
/** All buffers together, in bytes. */
const MOST_MEMORY = 1 << 30;

interface BenchRequest {
  readonly image: ImageSpec;
  readonly options: ChangeOptions;
  readonly job: BenchJob;
  readonly warnings: readonly string[];
  readonly view: ProgressView;
}

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}

function requestOf(parsed: ParsedArgs): BenchRequest {
  const number = (name: string, option: string, otherwise: number, least: number) =>
    parseNumber(textOf(parsed, name) ?? String(otherwise), option, least, MOST);
  const size = (name: string, option: string, otherwise: number, most: number) => {
    const value = parseSize(textOf(parsed, name) ?? String(otherwise), option);
    if (value <= most) return value;
    throw usage(`Cannot use ${value} for ${option}: it must be from 0 to ${most}`);
  };
  const depth = number("depth", "-d", 64, 1);
  const bufferSize = size("buffer-size", "-s", 4096, Math.floor(MOST_MEMORY / depth));
  const job = {
    count: number("count", "-c", 75000, 0),
    depth,
    bufferSize,
    step: size("step-size", "-S", 0, MOST) || bufferSize,
    offset: size("offset", "-o", 0, Number.MAX_SAFE_INTEGER / 4),
  };
  const write = writeOf(parsed, depth);
  refuseShared(parsed, write !== undefined);
  return {
    ...imageOf(parsed, write !== undefined),
    job: { ...job, ...(write && { write }) },
    warnings: warningsOf(parsed),
    view: viewOf(parsed),
  };
}

function imageOf(parsed: ParsedArgs, writes: boolean): Pick<BenchRequest, "image" | "options"> {
  if (writes) return changingOne(parsed, "bench");
  syncOf(parsed, "cache", "-t");
  const { images: [image], options } = readingOfOne(parsed, "bench");
  return { image: image!, options };
}

/** What `-w` and what belongs to it ask for; absent for reads. */
function writeOf(parsed: ParsedArgs, depth: number): BenchWrite | undefined {
  const pattern = parseNumber(textOf(parsed, "pattern") ?? "0", "the byte of --pattern", 0, 255);
  const flushInterval = parseNumber(textOf(parsed, "flush-interval") ?? "0", "--flush-interval", 0, MOST);
  if (!isOn(parsed, "write")) {
    if (flushInterval > 0) throw usage("Cannot use --flush-interval without -w: there is nothing to sync");
    return undefined;
  }
  if (flushInterval > 0 && flushInterval < depth) {
    throw usage(`Cannot sync after ${flushInterval} writes: --flush-interval must be at least ${depth}, as -d says`);
  }
  return { pattern, flushInterval, drain: !isOn(parsed, "no-drain") };
}

/** The kinds of access that qemu-img knows. */
const KINDS = ["threads", "native", "io_uring"];

function warningsOf(parsed: ParsedArgs): string[] {
  const kind = textOf(parsed, "aio") ?? "threads";
  if (!KINDS.includes(kind)) throw usage(`Cannot use "${kind}" for -i: it must be ${KINDS.join(", ")}`);
  if (kind !== "threads") {
    throw new ImageError("unsupported", `Cannot use -i ${kind}: files are reached by threads here, leave out -i`);
  }
  return isOn(parsed, "native") ? ["-n has no effect: files are reached by threads here"] : [];
}

/** Runs `bench` with the words after its name; the result is the exit code. */
export function runBench(args: readonly string[], context: CommandContext): Promise<number> {
  const files = ({ image, options, job }: BenchRequest) =>
    job.write ? changeFiles(image, options) : imageFiles([image], options);
  return runCommand({ def: benchCommand, read: requestOf, files, work }, args, context);
}

function work({ image, options, job, warnings, view }: BenchRequest, context: CommandContext): Promise<number> {
  const { count, depth, bufferSize, offset, step, write } = job;
  return watch({ view, command: "bench", label: "Measuring" }, context, async (onEvent, telling) => {
    const { io, signal } = context;
    warnings.forEach(telling.warn);
    io.out(
      `Sending ${count} ${write ? "write" : "read"} requests, ${bufferSize} bytes each, ${depth} in parallel ` +
        `(starting at offset ${offset}, step size ${step})\n`,
    );
    if (write && write.flushInterval > 0) io.out(`Sending flush every ${write.flushInterval} requests\n`);
    const seconds = await bench(image, job, { ...options, signal, onEvent, onWarning: telling.warn });
    telling.end({ ok: true, code: 0, summary: undefined });
    io.out(`Run completed in ${seconds.toFixed(3)} seconds.\n`);
    return 0;
  });
}
