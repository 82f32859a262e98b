/**
 * The command `dd`: a conversion of a part of a disk.
 *
 * @module
 */
import { allFormats, convert, jobFiles, parseNumber, parseSize } from "../../mod.ts";
import type { ConvertJob } from "../../mod.ts";
import { imagePath } from "../args/edit_options.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import {
  forceDeviceOption,
  formatOption,
  imagesToRead,
  permissionsOption,
  progressOptions,
  progressView,
  readingOptions,
  sectorSizeOptions,
} from "../args/read_options.ts";
import { formatOfOption, usageError } from "../args/usage.ts";
import { targetAsQemuImg } from "../qemu_img_mode.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `dd`. */
export const ddCommand: LoadedCommand = {
  options: [
    formatOption,
    { short: "O", long: "target-format", arg: "fmt", group: "Target", help: "format of the target (default: raw)" },
    ...sectorSizeOptions,
    { ...forceDeviceOption, group: "Target" },
    ...readingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `bs is the size of a block (default: 512), skip the number of blocks that are left out at the beginning, and count the
number of blocks that are copied after them (default: all). qemu-img counts the skipped blocks in count; here it is the
number of copied blocks, as with dd. The target is always a new image; zeroes become holes.

Examples:
  diskcast dd if=disk.qcow2 of=mbr.raw bs=512 count=1
  diskcast dd -O qcow2 if=disk.raw of=part.qcow2 bs=1M skip=1 count=100`,
  run: (args, context) =>
    runCommand(
      { read: (parsed) => ddRequest(parsed, context.io.asQemuImg), files: ({ job }) => jobFiles(job), work },
      args,
      context,
    ),
};

const OPERANDS = ["if", "of", "bs", "count", "skip"] as const;
type Operand = typeof OPERANDS[number];

/** The largest block in bytes, as with qemu-img. */
const MAX_BLOCK = 2 ** 31 - 1;

interface DdRequest {
  readonly job: ConvertJob;
  readonly view: ProgressView;
}

function ddRequest(parsed: ParsedArgs, asQemuImg = false): DdRequest {
  const { if: source, of: target, bs, count, skip } = operandsOf(parsed.files);
  if (source === undefined || target === undefined) throw usageError("Cannot copy: both if= and of= must be given");
  const block = bs === undefined ? 512 : parseSize(bs, "bs=");
  if (block < 1 || block > MAX_BLOCK) {
    throw usageError(`Cannot use "${bs}" for bs=: it must be from 1 to ${MAX_BLOCK}`);
  }
  const bytesOf = (blocks: string, name: string) => {
    const max = Math.floor(Number.MAX_SAFE_INTEGER / block);
    // A suffix is allowed, as for sizes.
    const value = parseSize(blocks, name);
    return block * parseNumber(String(value), name, 0, max);
  };
  const { images, options } = imagesToRead(parsed, [source], [["-f", textOf(parsed, "format")]]);
  const format = formatOfOption(textOf(parsed, "target-format") ?? "raw", allFormats, "-O").name;
  const range = {
    start: skip === undefined ? 0 : bytesOf(skip, "skip="),
    ...(count !== undefined && { length: bytesOf(count, "count=") }),
  };
  const path = imagePath(target, "target");
  const allowed = {
    ...((asQemuImg || isOn(parsed, "allow-sector-size-change")) && { allowSectorSizeChange: true }),
    ...(isOn(parsed, "convert-gpt") && { convertGpt: true }),
    ...(isOn(parsed, "force-device") && { forceDevice: true }),
  };
  const newTarget = { path, format };
  return {
    job: { sources: images, target: asQemuImg ? targetAsQemuImg(newTarget) : newTarget, range, ...allowed, ...options },
    view: progressView(parsed),
  };
}

function operandsOf(args: readonly string[]): { readonly [operand in Operand]?: string } {
  const found: { [operand in Operand]?: string } = {};
  for (const arg of args) {
    const at = arg.indexOf("=");
    const name = OPERANDS.find((one) => one === arg.slice(0, Math.max(0, at)));
    if (name === undefined) throw usageError(`Unknown operand "${arg}": it must be ${OPERANDS.join("=, ")}=`);
    found[name] = arg.slice(at + 1);
  }
  return found;
}

function work({ job, view }: DdRequest, context: CommandContext): Promise<number> {
  return runJob({ view, label: "Copying" }, context, async ({ onEvent, onWarning, signal }) => {
    const summary = await convert(job, { onEvent, signal });
    if (summary.size === 0 && job.range!.start > 0) onWarning("nothing is left of the disk behind what is skipped");
    return { summary };
  });
}
