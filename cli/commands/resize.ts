/**
 * The command `resize`.
 *
 * @module
 */
import { changeFiles, parseSize, resize } from "../../mod.ts";
import type { Preallocation } from "../../mod.ts";
import { editOptions, type ImageToEdit, imageToEdit } from "../args/edit_options.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import { formatOption, permissionsOption, progressOptions, progressView, READING } from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `resize`. */
export const resizeCommand: LoadedCommand = {
  options: [
    formatOption,
    { long: "shrink", group: READING, help: "allow a smaller size; data at the end of the disk is lost" },
    {
      long: "preallocation",
      arg: "mode",
      group: READING,
      help: "how to allocate the new end: off (default), metadata, falloc or full",
    },
    ...editOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `SIZE takes the suffixes k, M, G, T, P and E (powers of 1024). With + or - it is by how much the size changes.
Partitions and file systems in the disk stay as they are: shrink them before the disk, grow them after it.
--preallocation=metadata allocates all new clusters in the file and takes no space from the host; falloc reserves the
space, full writes zeroes into it. Where blocks have fixed file offsets (raw, flat VMDK, fixed VHDX and VHD, static VDI),
metadata is refused.

Examples:
  diskcast resize disk.qcow2 +10G
  diskcast resize -f raw disk.raw 20G
  diskcast resize --shrink disk.qcow2 5G`,
  run: (args, context) =>
    runCommand(
      { read: resizeRequest, files: ({ image, options }) => changeFiles(image, options), work },
      withSizeLast(args),
      context,
    ),
};

interface ResizeRequest extends ImageToEdit {
  /** Bytes. */
  readonly size: number | { readonly by: number };
  readonly shrink: boolean;
  readonly preallocation: Preallocation;
  readonly view: ProgressView;
}

const PREALLOCATIONS: readonly Preallocation[] = ["off", "metadata", "falloc", "full"];

function resizeRequest(parsed: ParsedArgs): ResizeRequest {
  const [name, size, ...more] = parsed.files;
  if (name === undefined || size === undefined || more.length > 0) {
    throw usageError("Cannot tell what to resize: give the image, then its new size");
  }
  const mode = textOf(parsed, "preallocation") ?? "off";
  const preallocation = PREALLOCATIONS.find((one) => one === mode);
  if (preallocation === undefined) {
    throw usageError(`Cannot preallocate "${mode}": it must be ${PREALLOCATIONS.join(", ")}`);
  }
  return {
    ...imageToEdit(parsed, name),
    size: sizeOrChange(size),
    shrink: isOn(parsed, "shrink"),
    preallocation,
    view: progressView(parsed),
  };
}

/** Parses a size, or a change of it: `+10G`. */
export function sizeOrChange(text: string): ResizeRequest["size"] {
  const [sign, rest] = /^[+-]/.test(text) ? [text[0], text.slice(1)] : ["", text];
  const size = parseSize(rest, "the disk");
  return sign === "" ? size : { by: sign === "-" ? -size : size };
}

/** Puts `--` before a last argument such as `-10M`, which is a size and no option. */
export function withSizeLast(args: readonly string[]): readonly string[] {
  const last = args.at(-1) ?? "";
  return /^-\d/.test(last) && !args.includes("--") ? [...args.slice(0, -1), "--", last] : args;
}

function work(request: ResizeRequest, context: CommandContext): Promise<number> {
  const { image, size, options, shrink, preallocation, view } = request;
  return runJob({ view, label: "Resizing" }, context, async (hooks) => {
    await resize(image, size, { ...options, shrink, preallocation, ...hooks });
    return view.quiet ? {} : { out: "Image resized.\n" };
  });
}
