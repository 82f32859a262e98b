/**
 * The command `create`.
 *
 * @module
 */
import { allFormats, createImage, ImageError, jobFiles, parseSize } from "../../mod.ts";
import type { CreateJob, Format, JobFiles } from "../../mod.ts";
import { optionsText } from "./convert.ts";
import { refuseObject } from "../args/convert_flags.ts";
import { formatNamed } from "../args/convert_rules.ts";
import { creationFrom } from "../args/create_args.ts";
import { createCommand } from "./create_options.ts";
import { pathOf, storablePath } from "../args/image_names.ts";
import { isOn, listOf, textOf, viewOf } from "../args/read_args.ts";
import { visible } from "../report/report.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import { asksForHelp, parseOptionLists } from "../args/option_list.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

const WINDOWS = Deno.build.os === "windows";

interface CreateRequest {
  readonly job: CreateJob;
  readonly format: Format;
  readonly view: ProgressView;
}

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}

function requestOf(parsed: ParsedArgs): CreateRequest | string {
  listOf(parsed, "object").forEach(refuseObject);
  const format = formatNamed(textOf(parsed, "format") ?? "raw", allFormats, "-f");
  const items = parseOptionLists(listOf(parsed, "options"));
  if (asksForHelp(items)) return optionsText(format);
  const [name, sizeWord, ...more] = parsed.files;
  if (name === undefined) throw usage("Cannot create an image: its name is missing");
  if (more.length > 0) throw usage(`Cannot use "${more[0]}": create takes one image and its size`);
  const creation = creationFrom(items, format);
  if (sizeWord !== undefined && creation.size !== undefined) {
    throw usage("Cannot tell the size: it is given twice, as SIZE and in -o");
  }
  const size = sizeWord ?? creation.size;
  const unseen = isOn(parsed, "backing-unsafe");
  const allowRefs = listOf(parsed, "allow-ref");
  const backing = backingOf(
    textOf(parsed, "backing") ?? creation.backing,
    textOf(parsed, "backing-format") ?? creation.backingFormat,
  );
  const job: CreateJob = {
    path: pathOf(name, WINDOWS, "image"),
    format: format.name,
    options: creation.options,
    ...(size !== undefined && { size: parseSize(size, "the image") }),
    ...(backing && { backing }),
    ...(unseen && { unseenBacking: true }),
    ...(allowRefs.length > 0 && { allowRefs }),
  };
  if (size === undefined && (!backing || unseen)) {
    throw usage(`Cannot create "${name}": its size is missing, give it after the name`);
  }
  return { job, format, view: viewOf(parsed) };
}

function backingOf(name: string | undefined, format: string | undefined): CreateJob["backing"] {
  if (format !== undefined) formatNamed(format, allFormats, "-F");
  if (name === undefined && format !== undefined) {
    throw usage("Cannot use -F without -b: name the backing file, or leave -F out");
  }
  if (name === undefined) return undefined;
  const path = storablePath(pathOf(name, WINDOWS, "backing file"), WINDOWS);
  return { path, ...(format !== undefined && { format }) };
}

/** Runs `create` with the words after its name; the result is the exit code. */
export function runCreate(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand<CreateRequest>({ def: createCommand, read: requestOf, files, work }, args, context);
}

/** As a conversion without a source. */
function files({ job: { backing, unseenBacking, allowRefs, ...target } }: CreateRequest): Promise<JobFiles> {
  const { path, format, options } = target;
  return jobFiles({
    sources: [],
    target: { path, format, ...(options && { options }), ...(backing && !unseenBacking && { backing }) },
    ...(allowRefs && { allowRefs }),
  });
}

function work({ job, format, view }: CreateRequest, context: CommandContext): Promise<number> {
  return watch({ view, command: "create", label: "Creating" }, context, async (onEvent, telling) => {
    const { io, signal } = context;
    const { size } = await createImage(job, { signal, onEvent, onWarning: telling.warn });
    telling.end({ ok: true, code: 0, summary: undefined });
    if (!view.quiet) io.out(`${visible(createdText(job, format, size))}\n`);
    return 0;
  });
}

/** What was created, in the words of qemu-img. */
function createdText({ path, options = {}, backing }: CreateJob, format: Format, size: number): string {
  const shown = (value: string | number | boolean) => typeof value === "boolean" ? (value ? "on" : "off") : `${value}`;
  const values = format.createOptions.flatMap((spec) => {
    const value = options[spec.name] ?? spec.default;
    return value === undefined || value === "" ? [] : [`${spec.name}=${shown(value)}`];
  });
  const beneath = backing ? [`backing_file=${backing.path}`, `backing_fmt=${backing.format ?? ""}`] : [];
  return [`Formatting '${path}', fmt=${format.name}`, `size=${size}`, ...beneath, ...values].join(" ");
}
