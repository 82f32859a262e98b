/**
 * The command `dd`: a conversion of a part of a disk.
 *
 * @module
 */
import { allFormats, convert, ImageError, jobFiles, parseNumber, parseSize } from "../../mod.ts";
import type { ConvertJob } from "../../mod.ts";
import { formatNamed } from "../args/convert_rules.ts";
import { ddCommand } from "./dd_options.ts";
import { pathOf } from "../args/image_names.ts";
import { readingOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

const OPERANDS = ["if", "of", "bs", "count", "skip"] as const;
type Operand = typeof OPERANDS[number];

/** The largest block, as with qemu-img. */
const MAX_BLOCK = 2 ** 31 - 1;

interface DdRequest {
  readonly job: ConvertJob;
  readonly view: ProgressView;
}

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}

function operandsOf(words: readonly string[]): { readonly [operand in Operand]?: string } {
  const found: { [operand in Operand]?: string } = {};
  for (const word of words) {
    const at = word.indexOf("=");
    const name = OPERANDS.find((one) => one === word.slice(0, Math.max(0, at)));
    if (name === undefined) throw usage(`Unknown operand "${word}": it must be ${OPERANDS.join("=, ")}=`);
    found[name] = word.slice(at + 1);
  }
  return found;
}

function requestOf(parsed: ParsedArgs): DdRequest {
  const operands = operandsOf(parsed.files);
  const { if: source, of: target, bs, count, skip } = operands;
  if (source === undefined || target === undefined) throw usage("Cannot copy: both if= and of= must be given");
  const block = bs === undefined ? 512 : parseSize(bs, "bs=");
  if (block < 1 || block > MAX_BLOCK) throw usage(`Cannot use "${bs}" for bs=: it must be from 1 to ${MAX_BLOCK}`);
  const blocks = (text: string, name: string) => {
    const most = Math.floor(Number.MAX_SAFE_INTEGER / block);
    // A suffix is allowed, as for sizes.
    const value = parseSize(text, name);
    return block * parseNumber(String(value), name, 0, most);
  };
  const { images, options } = readingOf(parsed, [source], [["-f", textOf(parsed, "format")]]);
  const format = formatNamed(textOf(parsed, "target-format") ?? "raw", allFormats, "-O").name;
  const range = {
    start: skip === undefined ? 0 : blocks(skip, "skip="),
    ...(count !== undefined && { length: blocks(count, "count=") }),
  };
  const path = pathOf(target, Deno.build.os === "windows", "target");
  return { job: { sources: images, target: { path, format }, range, ...options }, view: viewOf(parsed) };
}

/** Runs `dd` with the words after its name; the result is the exit code. */
export function runDd(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: ddCommand, read: requestOf, files: ({ job }) => jobFiles(job), work }, args, context);
}

function work({ job, view }: DdRequest, context: CommandContext): Promise<number> {
  return watch({ view, command: "dd", label: "Copying" }, context, async (onEvent, telling) => {
    const summary = await convert(job, { onEvent, signal: context.signal });
    if (summary.size === 0 && job.range!.start > 0) telling.warn("nothing is left of the disk behind what is skipped");
    telling.end({ ok: true, code: 0, summary });
    return 0;
  });
}
