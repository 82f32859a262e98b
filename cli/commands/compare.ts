/**
 * The command `compare`.
 *
 * @module
 */
import { compare, imageFiles } from "../../mod.ts";
import type { CompareStage, Comparison } from "../../mod.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import {
  cacheOption,
  type ImagesToRead,
  imagesToRead,
  permissionsOption,
  progressOptions,
  progressView,
  READING,
  readingOptions,
  syncOf,
} from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `compare`. */
export const compareCommand: LoadedCommand = {
  options: [
    { short: "f", long: "a-format", arg: "fmt", group: READING, help: "format of the first image (default: probed)" },
    { short: "F", long: "b-format", arg: "fmt", group: READING, help: "format of the second image (default: probed)" },
    {
      short: "s",
      long: "strict",
      group: READING,
      help: "sizes, and the allocation status (data, zero, hole), must be equal as well",
    },
    ...readingOptions,
    cacheOption,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `Zeroes that the metadata of both images states are not read. A longer image is the same if the rest of it is zero.

Exit codes: 0 the same, 1 different (or wrong options), 2 an image cannot be opened, 3 its metadata cannot be read,
4 its data cannot be read.

Examples:
  diskcast compare disk.vmdk disk.qcow2
  diskcast compare -f raw -F qcow2 --progress=bar disk.raw disk.qcow2`,
  run: (args, context) =>
    runCommand(
      {
        read: compareRequest,
        files: (request) => {
          const { images, options } = request.images();
          return imageFiles(images, options);
        },
        work,
      },
      args,
      context,
    ),
};

interface CompareRequest {
  /**
   * Parsed late: an unknown format or cache mode has the exit code of an image that cannot be opened, as with qemu-img.
   */
  readonly images: () => ImagesToRead;
  readonly strict: boolean;
  readonly view: ProgressView;
}

/** The exit code of a failure, by stage. */
const FAILURE_CODE: { readonly [stage in CompareStage]: number } = { open: 2, status: 3, read: 4 };

function compareRequest(parsed: ParsedArgs): CompareRequest {
  const { files } = parsed;
  if (files.length !== 2) throw usageError(`Cannot compare ${files.length} images: give two`);
  const formats = [["-f", textOf(parsed, "a-format")], ["-F", textOf(parsed, "b-format")]] as const;
  const images = () => {
    syncOf(parsed, "cache", "-T");
    return imagesToRead(parsed, files, formats);
  };
  return { images, strict: isOn(parsed, "strict"), view: progressView(parsed) };
}

function work(request: CompareRequest, context: CommandContext): Promise<number> {
  const { strict, view } = request;
  let stage: CompareStage = "open";
  const progress = { view, label: "Comparing", failureCode: () => FAILURE_CODE[stage] };
  return runJob(progress, context, async (hooks) => {
    const { images: [a, b], options } = request.images();
    const found = await compare(a!, b!, { ...options, strict, ...hooks, onStage: (now) => stage = now });
    return { code: found.identical ? 0 : 1, ...(!view.quiet && { out: comparisonText(found) }) };
  });
}

/** Returns a result as qemu-img prints it. */
export function comparisonText({ identical, difference, at, sizes }: Comparison): string {
  if (difference === "size") return "Strict mode: Image size mismatch!\n";
  if (difference === "status") return `Strict mode: Offset ${at} block status mismatch!\n`;
  const shorter = Math.min(...sizes);
  const warning = sizes[0] !== sizes[1] && (identical || at! >= shorter) ? "Warning: Image size mismatch!\n" : "";
  return `${warning}${identical ? "Images are identical." : `Content mismatch at offset ${at}!`}\n`;
}
