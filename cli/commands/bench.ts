/**
 * The command `bench`.
 *
 * @module
 */
import { bench, changeFiles, ImageError, imageFiles, parseNumber, parseSize } from "../../mod.ts";
import type { BenchJob, BenchWrite, ChangeOptions, ImageSpec } from "../../mod.ts";
import { onlyImageToEdit, refuseForceShare, writeCacheOption } from "../args/edit_options.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import {
  forceDeviceOption,
  formatOption,
  onlyImageToRead,
  permissionsOption,
  progressOptions,
  progressView,
  readingOptions,
  syncOf,
} from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

const REQUESTS = "Requests";

/** `bench`. */
export const benchCommand: LoadedCommand = {
  options: [
    { short: "c", long: "count", arg: "count", group: REQUESTS, help: "number of requests (default: 75000)" },
    { short: "d", long: "depth", arg: "depth", group: REQUESTS, help: "number of reads at once (default: 64)" },
    { short: "s", long: "buffer-size", arg: "size", group: REQUESTS, help: "bytes of each request (default: 4096)" },
    {
      short: "S",
      long: "step-size",
      arg: "size",
      group: REQUESTS,
      help: "from the beginning of one request to that of the next (default: the buffer size)",
    },
    { short: "o", long: "offset", arg: "offset", group: REQUESTS, help: "guest offset of the first (default: 0)" },
    {
      short: "w",
      long: "write",
      group: REQUESTS,
      help: "write instead of reading; this overwrites data of the image",
    },
    { long: "pattern", arg: "byte", group: REQUESTS, help: "with -w: the byte to write, 0 to 255 (default: 0)" },
    {
      long: "flush-interval",
      arg: "count",
      group: REQUESTS,
      help: "with -w: sync the file after so many writes, at least as many as -d says (default: never)",
    },
    { long: "no-drain", group: REQUESTS, help: "with --flush-interval: write on while the file is synced" },
    {
      short: "i",
      long: "aio",
      arg: "kind",
      group: REQUESTS,
      help: "threads (default); native and io_uring are refused, there is no such access here",
    },
    {
      short: "n",
      long: "native",
      group: REQUESTS,
      help: "as -i native where it is possible: never here, with a warning",
    },
    formatOption,
    ...readingOptions.map((one) => one.long === "force-share" ? { ...one, help: `${one.help}; not with -w` } : one),
    { ...forceDeviceOption, help: `with -w: ${forceDeviceOption.help}` },
    { ...writeCacheOption, help: `with -w: ${writeCacheOption.help}` },
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `Requests past the end of the disk go on at its beginning. Reads go through the page cache, -d of them at once. Writes
are made one after another, whatever -d says. The time of -w includes writing the metadata, and not the last sync.

Examples:
  diskcast bench disk.qcow2
  diskcast bench -c 1000 -s 1M -d 4 disk.vmdk
  diskcast bench -w --pattern=255 -c 1000 --flush-interval=100 scratch.qcow2`,
  run: (args, context) =>
    runCommand(
      {
        read: benchRequest,
        files: ({ image, options, job }) => job.write ? changeFiles(image, options) : imageFiles([image], options),
        work,
      },
      args,
      context,
    ),
};

/** The largest count, depth or step, as with qemu-img. */
const MAX_NUMBER = 2 ** 31 - 1;
/** Bytes of all buffers together. */
const MAX_MEMORY = 1 << 30;

interface BenchRequest {
  readonly image: ImageSpec;
  readonly options: ChangeOptions;
  readonly job: BenchJob;
  readonly warnings: readonly string[];
  readonly view: ProgressView;
}

function benchRequest(parsed: ParsedArgs): BenchRequest {
  const number = (name: string, option: string, fallback: number, min: number) =>
    parseNumber(textOf(parsed, name) ?? String(fallback), option, min, MAX_NUMBER);
  const size = (name: string, option: string, fallback: number, max: number) => {
    const value = parseSize(textOf(parsed, name) ?? String(fallback), option);
    if (value <= max) return value;
    throw usageError(`Cannot use ${value} for ${option}: it must be from 0 to ${max}`);
  };
  const depth = number("depth", "-d", 64, 1);
  const bufferSize = size("buffer-size", "-s", 4096, Math.floor(MAX_MEMORY / depth));
  const job = {
    count: number("count", "-c", 75000, 0),
    depth,
    bufferSize,
    step: size("step-size", "-S", 0, MAX_NUMBER) || bufferSize,
    offset: size("offset", "-o", 0, Number.MAX_SAFE_INTEGER / 4),
  };
  const write = writeOf(parsed, depth);
  refuseForceShare(parsed, write !== undefined);
  return {
    ...imageOf(parsed, write !== undefined),
    job: { ...job, ...(write && { write }) },
    warnings: accessWarnings(parsed),
    view: progressView(parsed),
  };
}

function imageOf(parsed: ParsedArgs, writes: boolean): Pick<BenchRequest, "image" | "options"> {
  if (writes) return onlyImageToEdit(parsed, "bench");
  syncOf(parsed, "cache", "-t");
  const { images: [image], options } = onlyImageToRead(parsed, "bench");
  return { image: image!, options };
}

/** Returns the values of `-w` and its options; absent for reads. */
function writeOf(parsed: ParsedArgs, depth: number): BenchWrite | undefined {
  const pattern = parseNumber(textOf(parsed, "pattern") ?? "0", "the byte of --pattern", 0, 255);
  const flushInterval = parseNumber(textOf(parsed, "flush-interval") ?? "0", "--flush-interval", 0, MAX_NUMBER);
  if (!isOn(parsed, "write")) {
    if (flushInterval > 0) throw usageError("Cannot use --flush-interval without -w: there is nothing to sync");
    return undefined;
  }
  if (flushInterval > 0 && flushInterval < depth) {
    throw usageError(
      `Cannot sync after ${flushInterval} writes: --flush-interval must be at least ${depth}, as -d says`,
    );
  }
  return { pattern, flushInterval, drain: !isOn(parsed, "no-drain") };
}

/** The values of `-i` that qemu-img has. */
const AIO = ["threads", "native", "io_uring"];

/** Checks `-i` and `-n`; returns the warnings about them. */
function accessWarnings(parsed: ParsedArgs): string[] {
  const aio = textOf(parsed, "aio") ?? "threads";
  if (!AIO.includes(aio)) throw usageError(`Cannot use "${aio}" for -i: it must be ${AIO.join(", ")}`);
  if (aio !== "threads") {
    throw new ImageError("unsupported", `Cannot use -i ${aio}: files are reached by threads here, leave out -i`);
  }
  return isOn(parsed, "native") ? ["-n has no effect: files are reached by threads here"] : [];
}

function work({ image, options, job, warnings, view }: BenchRequest, context: CommandContext): Promise<number> {
  const { count, depth, bufferSize, offset, step, write } = job;
  return runJob({ view, label: "Measuring" }, context, async (hooks) => {
    const { io } = context;
    warnings.forEach((message) => hooks.onWarning(message, true));
    io.out(
      `Sending ${count} ${write ? "write" : "read"} requests, ${bufferSize} bytes each, ${depth} in parallel ` +
        `(starting at offset ${offset}, step size ${step})\n`,
    );
    if (write && write.flushInterval > 0) io.out(`Sending flush every ${write.flushInterval} requests\n`);
    const seconds = await bench(image, job, { ...options, ...hooks });
    return { out: `Run completed in ${seconds.toFixed(3)} seconds.\n` };
  });
}
