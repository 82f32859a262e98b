/**
 * The command `measure`.
 *
 * @module
 */
import { allFormats, ImageError, imageFiles, measure, parseSize } from "../../mod.ts";
import type { MeasureJob, MeasureSummary } from "../../mod.ts";
import { optionsText } from "./convert.ts";
import { formatNamed } from "../args/convert_rules.ts";
import { creationFrom } from "../args/create_args.ts";
import { measureCommand } from "./measure_options.ts";
import { isOn, listOf, outputForm, type Reading, readingOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import { asksForHelp, parseOptionLists, parseSnapshot } from "../args/option_list.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface MeasureRequest {
  readonly job: MeasureJob;
  readonly reading: Reading;
  readonly form: "human" | "json";
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): MeasureRequest | string {
  const format = formatNamed(textOf(parsed, "target-format") ?? "raw", allFormats, "-O");
  const items = parseOptionLists(listOf(parsed, "target-format-options"));
  if (asksForHelp(items)) return optionsText(format);
  const { options, backing, backingFormat, size: sizeOption } = creationFrom(items, format);
  const size = textOf(parsed, "size");
  if ((size === undefined) !== (parsed.files.length === 1)) {
    throw new ImageError("usage", "Cannot tell what is to be measured: give one image, or --size alone");
  }
  if (sizeOption !== undefined) throw new ImageError("usage", "Cannot use size in -o: give --size");
  const reading = readingOf(parsed, parsed.files, [["-f", textOf(parsed, "format")]]);
  const snapshot = textOf(parsed, "snapshot");
  if (snapshot !== undefined && size !== undefined) {
    throw new ImageError("usage", "Cannot use -l with --size: a new image has no snapshots");
  }
  const [image] = reading.images;
  const source = snapshot === undefined ? image : { ...image, snapshot: parseSnapshot(snapshot) };
  return {
    job: {
      ...(size === undefined ? { source } : { size: parseSize(size, "--size") }),
      format: format.name,
      options,
      ...(isOn(parsed, "compress") && { compress: true }),
      // Nothing is written, so its format does not matter.
      ...(backing !== undefined && { backing: { path: backing, format: backingFormat ?? "raw" } }),
    },
    reading,
    form: outputForm(parsed, ["human", "json"]),
    view: viewOf(parsed),
  };
}

/** Runs `measure` with the words after its name; the result is the exit code. */
export function runMeasure(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand<MeasureRequest>(
    {
      def: measureCommand,
      read: requestOf,
      files: ({ reading: { images, options } }) => imageFiles(images, options),
      work,
    },
    args,
    context,
  );
}

function work({ job, reading, form, view }: MeasureRequest, context: CommandContext): Promise<number> {
  return watch({ view, command: "measure", label: "Measuring" }, context, async (onEvent, telling) => {
    const { io, signal } = context;
    const found = await measure(job, { ...reading.options, signal, onEvent, onWarning: telling.warn });
    telling.end({ ok: true, code: 0, summary: undefined });
    io.out(form === "json" ? `${JSON.stringify(measuredJson(found), null, 4)}\n` : measuredText(found));
    return 0;
  });
}

/** The names of qemu-img; `required-error` is ours. */
function measuredJson({ required, fullyAllocated, bitmaps, requiredError }: MeasureSummary): Printed {
  return {
    ...(bitmaps !== undefined && { bitmaps }),
    required,
    ...(requiredError !== undefined && { "required-error": requiredError }),
    "fully-allocated": fullyAllocated,
  };
}

type Printed = { readonly [name: string]: number };

function measuredText({ required, fullyAllocated, bitmaps, requiredError }: MeasureSummary): string {
  return `required size: ${required}\n` +
    (requiredError === undefined ? "" : `required size error: ${requiredError}\n`) +
    `fully allocated size: ${fullyAllocated}\n` +
    (bitmaps === undefined ? "" : `bitmaps size: ${bitmaps}\n`);
}
