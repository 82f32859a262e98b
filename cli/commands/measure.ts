/**
 * The command `measure`.
 *
 * @module
 */
import { allFormats, imageFiles, measure, parseSize } from "../../mod.ts";
import type { MeasureJob, MeasureSummary } from "../../mod.ts";
import { creationOptions, creationOptionsText } from "../args/creation_options.ts";
import { asksForHelp, parseOptionLists, parseSnapshot } from "../args/option_list.ts";
import { isOn, listOf, textOf } from "../args/parse_args.ts";
import {
  formatOption,
  type ImagesToRead,
  imagesToRead,
  outputForm,
  outputOption,
  permissionsOption,
  progressOptions,
  progressView,
  READING,
  readingOptions,
} from "../args/read_options.ts";
import { formatOfOption, usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { qemuJson } from "../report/qemu_json.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

const TARGET = "Target";

/** `measure`. */
export const measureCommand: LoadedCommand = {
  options: [
    formatOption,
    {
      short: "l",
      long: "snapshot",
      arg: "snapshot",
      group: READING,
      help: "measure this internal snapshot: ID or name, or snapshot.id=ID,snapshot.name=NAME",
    },
    {
      short: "s",
      long: "size",
      arg: "size",
      group: READING,
      help: "measure a new image of this size, instead of an image",
    },
    ...readingOptions,
    { short: "O", long: "target-format", arg: "fmt", group: TARGET, help: "format of the target (default: raw)" },
    {
      short: "o",
      long: "target-format-options",
      arg: "options",
      repeats: true,
      group: TARGET,
      help: 'key=value[,key=value...] for the target; "-o help" lists them; can be repeated',
    },
    {
      short: "c",
      long: "compress",
      group: TARGET,
      help: "the target is compressed: samples of the data are compressed for an estimate",
    },
    outputOption,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `"Required" counts the data of the image, "fully allocated" a disk full of data. Zeroes that a conversion would
find only while copying count as data. With -c some megabytes of the data are read and compressed, and the output has the
error of "required" in bytes (JSON: "required-error"), about twice the standard error.

Examples:
  diskcast measure -O qcow2 disk.raw
  diskcast measure -O qcow2 -o cluster_size=2M --size 1T
  diskcast measure --output=json -O vmdk disk.qcow2
  diskcast measure -c -O qcow2 -o compression_type=zstd disk.raw`,
  run: (args, context) =>
    runCommand<MeasureRequest>(
      { read: measureRequest, files: ({ source: { images, options } }) => imageFiles(images, options), work },
      args,
      context,
    ),
};

interface MeasureRequest {
  readonly job: MeasureJob;
  readonly source: ImagesToRead;
  readonly form: "human" | "json";
  readonly view: ProgressView;
}

function measureRequest(parsed: ParsedArgs): MeasureRequest | string {
  const format = formatOfOption(textOf(parsed, "target-format") ?? "raw", allFormats, "-O");
  const items = parseOptionLists(listOf(parsed, "target-format-options"));
  if (asksForHelp(items)) return creationOptionsText(format);
  const { options, backing, backingFormat, size: sizeOption } = creationOptions(items, format);
  const size = textOf(parsed, "size");
  if ((size === undefined) !== (parsed.files.length === 1)) {
    throw usageError("Cannot tell what is to be measured: give one image, or --size alone");
  }
  if (sizeOption !== undefined) throw usageError("Cannot use size in -o: give --size");
  const source = imagesToRead(parsed, parsed.files, [["-f", textOf(parsed, "format")]]);
  const snapshot = textOf(parsed, "snapshot");
  if (snapshot !== undefined && size !== undefined) {
    throw usageError("Cannot use -l with --size: a new image has no snapshots");
  }
  const [image] = source.images;
  return {
    job: {
      ...(size !== undefined
        ? { size: parseSize(size, "--size") }
        : { source: snapshot === undefined ? image : { ...image, snapshot: parseSnapshot(snapshot) } }),
      format: format.name,
      options,
      ...(isOn(parsed, "compress") && { compress: true }),
      // Nothing is written, so any format will do.
      ...(backing !== undefined && { backing: { path: backing, format: backingFormat ?? "raw" } }),
    },
    source,
    form: outputForm(parsed, ["human", "json"]),
    view: progressView(parsed),
  };
}

function work({ job, source, form, view }: MeasureRequest, context: CommandContext): Promise<number> {
  return runJob({ view, label: "Measuring" }, context, async (hooks) => {
    const found = await measure(job, { ...source.options, ...hooks });
    return { out: form === "json" ? `${qemuJson(measureJson(found))}\n` : measureText(found) };
  });
}

/** Returns sizes under the names of qemu-img; only `required-error` is not one of them. */
function measureJson(
  { required, fullyAllocated, bitmaps, requiredError }: MeasureSummary,
): { readonly [name: string]: number } {
  return {
    ...(bitmaps !== undefined && { bitmaps }),
    required,
    ...(requiredError !== undefined && { "required-error": requiredError }),
    "fully-allocated": fullyAllocated,
  };
}

function measureText({ required, fullyAllocated, bitmaps, requiredError }: MeasureSummary): string {
  return `required size: ${required}\n` +
    (requiredError === undefined ? "" : `required size error: ${requiredError}\n`) +
    `fully allocated size: ${fullyAllocated}\n` +
    (bitmaps === undefined ? "" : `bitmaps size: ${bitmaps}\n`);
}
