/**
 * The command `bitmap`.
 *
 * @module
 */
import { allFormats, changeBitmap, changeFiles, parseSize } from "../../mod.ts";
import type { BitmapChange, ChangeSpec } from "../../mod.ts";
import { editOptions, imagePath, type ImageToEdit, imageToEdit } from "../args/edit_options.ts";
import { isOn, listOf, textOf } from "../args/parse_args.ts";
import { formatOption, permissionsOption, progressOptions, progressView, READING } from "../args/read_options.ts";
import { formatOfOption, usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `bitmap`. */
export const bitmapCommand: LoadedCommand = {
  options: [
    formatOption,
    { long: "add", group: READING, help: "add the bitmap; it records from now on, unless --disable is given too" },
    { short: "g", long: "granularity", arg: "size", group: READING, help: "with --add: guest bytes of one bit" },
    { long: "remove", group: READING, help: "remove the bitmap" },
    { long: "clear", group: READING, help: "clear all its bits" },
    { long: "enable", group: READING, help: "start recording" },
    { long: "disable", group: READING, help: "stop recording" },
    {
      long: "merge",
      arg: "source",
      repeats: true,
      group: READING,
      help: "set the bits that are set in this other bitmap; can be repeated",
    },
    { short: "b", long: "source-file", arg: "file", group: READING, help: "the image that has the bitmap of --merge" },
    { short: "F", long: "source-format", arg: "fmt", group: READING, help: "its format" },
    ...editOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `Several changes are made in the order in which they are given, and in one step: all of them, or none.

Examples:
  diskcast bitmap --add -g 64k disk.qcow2 backup
  diskcast bitmap --merge monday --merge tuesday disk.qcow2 week
  diskcast bitmap --remove disk.qcow2 backup`,
  run: (args, context) => runCommand({ read: bitmapRequest, files, work }, args, context),
};

interface BitmapRequest extends ImageToEdit {
  readonly name: string;
  readonly changes: readonly BitmapChange[];
  readonly source: ChangeSpec | undefined;
  readonly view: ProgressView;
}

const ACTIONS = ["add", "remove", "clear", "enable", "disable", "merge"] as const;

function bitmapRequest(parsed: ParsedArgs): BitmapRequest {
  const [image, name, ...more] = parsed.files;
  if (image === undefined || name === undefined || more.length > 0) {
    throw usageError("Cannot tell which bitmap is meant: give the image, then the bitmap");
  }
  const source = sourceOf(parsed);
  const changes = changesOf(parsed, source);
  return { ...imageToEdit(parsed, image), name, changes, source, view: progressView(parsed) };
}

/** Returns the image that has the bitmap of `--merge`; absent where it is the changed image. */
function sourceOf(parsed: ParsedArgs): ChangeSpec | undefined {
  const file = textOf(parsed, "source-file");
  const format = textOf(parsed, "source-format");
  if (file !== undefined && listOf(parsed, "merge").length === 0) {
    throw usageError("Cannot use -b without --merge: it says where that bitmap is");
  }
  if (format !== undefined && file === undefined) throw usageError("Cannot use -F without -b");
  if (format !== undefined) formatOfOption(format, allFormats, "-F");
  return file === undefined ? undefined : { path: imagePath(file, "source"), ...(format !== undefined && { format }) };
}

/** Returns the changes in the order of the arguments. */
function changesOf(parsed: ParsedArgs, source: ChangeSpec | undefined): BitmapChange[] {
  const actions = parsed.order.flatMap((name) => ACTIONS.find((action) => action === name) ?? []);
  const merged = [...listOf(parsed, "merge")];
  const granularity = textOf(parsed, "granularity");
  if (actions.length === 0) {
    throw usageError(`Cannot tell what to do: give one of ${ACTIONS.map((action) => `--${action}`).join(", ")}`);
  }
  if (granularity !== undefined && !isOn(parsed, "add")) {
    throw usageError("Cannot use -g without --add: a bitmap keeps its granularity");
  }
  return actions.map((action): BitmapChange => {
    if (action === "merge") return { action, source: merged.shift()!, ...(source && { image: source }) };
    if (action !== "add") return { action };
    return { action, ...(granularity !== undefined && { granularity: parseSize(granularity, "-g") }) };
  });
}

async function files({ image, options, source }: BitmapRequest) {
  return await changeFiles(image, { ...options, chain: false }, source ? [{ ...source, backing: null }] : []);
}

function work({ image, name, changes, options, view }: BitmapRequest, context: CommandContext): Promise<number> {
  return runJob({ view, label: "Changing the bitmap" }, context, async (hooks) => {
    await changeBitmap(image, name, changes, { ...options, ...hooks });
    return {};
  });
}
