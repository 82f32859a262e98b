/**
 * The command `bench`.
 *
 * @module
 */
import { type BenchJob, benchRead, ImageError, imageFiles, parseNumber, parseSize } from "../mod.ts";
import { benchCommand } from "./bench_options.ts";
import { isOn, type Reading, readingOfOne, textOf } from "./reading.ts";
import { visible } from "./report.ts";
import { runCommand } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command_def.ts";

/** The largest count, depth or size, as with qemu-img. */
const MOST = 2 ** 31 - 1;
/** All buffers together, in bytes. */
const MOST_MEMORY = 1 << 30;

interface BenchRequest extends Reading {
  readonly job: BenchJob;
  readonly quiet: boolean;
}

function requestOf(parsed: ParsedArgs): BenchRequest {
  if (isOn(parsed, "write")) {
    throw new ImageError("unsupported", "Cannot measure writing: an image is not written over, leave out -w");
  }
  const number = (name: string, option: string, otherwise: number) =>
    parseNumber(textOf(parsed, name) ?? String(otherwise), option, 1, MOST);
  const size = (name: string, option: string, otherwise: number, most: number, least = 0) => {
    const value = parseSize(textOf(parsed, name) ?? String(otherwise), option);
    if (value >= least && value <= most) return value;
    throw new ImageError("usage", `Cannot use ${value} for ${option}: it must be from ${least} to ${most}`);
  };
  const depth = number("depth", "-d", 64);
  const bufferSize = size("buffer-size", "-s", 4096, Math.floor(MOST_MEMORY / depth), 1);
  return {
    ...readingOfOne(parsed, "bench"),
    job: {
      count: number("count", "-c", 75000),
      depth,
      bufferSize,
      step: size("step-size", "-S", 0, MOST) || bufferSize,
      offset: size("offset", "-o", 0, Number.MAX_SAFE_INTEGER / 4),
    },
    quiet: isOn(parsed, "quiet"),
  };
}

/** Runs `bench` with the words after its name; the result is the exit code. */
export function runBench(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand(
    {
      def: benchCommand,
      read: requestOf,
      files: ({ images, options }) => imageFiles(images, options),
      work,
    },
    args,
    context,
  );
}

async function work({ images, options, job, quiet }: BenchRequest, { io, signal }: CommandContext): Promise<number> {
  const { count, depth, bufferSize, offset, step } = job;
  const say = (text: string) => io.out(`${text}\n`);
  say(
    `Sending ${count} read requests, ${bufferSize} bytes each, ${depth} in parallel ` +
      `(starting at offset ${offset}, step size ${step})`,
  );
  const onWarning = (message: string) => {
    if (!quiet) io.err(`diskcast: warning: ${visible(message)}\n`);
  };
  const seconds = await benchRead(images[0], job, { ...options, onWarning, signal });
  say(`Run completed in ${seconds.toFixed(3)} seconds.`);
  return 0;
}
