/**
 * The command `create`.
 *
 * @module
 */
import { allFormats, createImage, jobFiles, parseSize } from "../../mod.ts";
import type { CreateJob, Format, JobFiles } from "../../mod.ts";
import { backingSpec } from "../args/convert_images.ts";
import { creationOptions, creationOptionsText } from "../args/creation_options.ts";
import { imagePath } from "../args/edit_options.ts";
import { asksForHelp, parseOptionLists } from "../args/option_list.ts";
import { isOn, listOf, textOf } from "../args/parse_args.ts";
import {
  forceDeviceOption,
  permissionsOption,
  progressOptions,
  progressView,
  readingOptions,
  refuseObject,
} from "../args/read_options.ts";
import { formatOfOption, usageError } from "../args/usage.ts";
import { targetAsQemuImg } from "../qemu_img_mode.ts";
import type { ProgressView } from "../progress/progress.ts";
import { formattingLine } from "../report/formatting_line.ts";
import { type Io, visible } from "../report/report.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

const IMAGE = "New image";

/** `create`. */
export const createCommand: LoadedCommand = {
  options: [
    { short: "f", long: "format", arg: "fmt", group: IMAGE, help: "format of the image (default: raw)" },
    {
      short: "o",
      long: "options",
      arg: "options",
      repeats: true,
      group: IMAGE,
      help: 'key=value[,key=value...] for the image; "-o help" lists them; can be repeated',
    },
    {
      short: "b",
      long: "backing",
      arg: "file",
      group: IMAGE,
      help: "backing file of the image; a relative name starts from the folder of the image",
    },
    { short: "F", alias: "B", long: "backing-format", arg: "fmt", group: IMAGE, help: "format of the backing file" },
    {
      short: "u",
      long: "backing-unsafe",
      group: IMAGE,
      help: "do not open the backing file, which may be missing; needs SIZE",
    },
    { ...forceDeviceOption, group: IMAGE },
    ...readingOptions.filter(({ long }) => long !== "image-opts" && long !== "force-share"),
    ...progressOptions,
    permissionsOption,
  ],
  notes: `SIZE takes the suffixes k, M, G, T, P and E (powers of 1024); with a backing file, the default is its size.
A file that has the name of the image is replaced when the new one is complete.

Examples:
  diskcast create -f qcow2 disk.qcow2 20G
  diskcast create -f qcow2 -o cluster_size=2M,preallocation=metadata disk.qcow2 1T
  diskcast create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2`,
  run: (args, context) => runCommand<CreateRequest>({ read: createRequest, files, work }, args, context),
};

interface CreateRequest {
  readonly job: CreateJob;
  readonly format: Format;
  /** The options of `-o` as given. */
  readonly given: { readonly [name: string]: string };
  readonly view: ProgressView;
}

function createRequest(parsed: ParsedArgs, { asQemuImg }: Io): CreateRequest | string {
  listOf(parsed, "object").forEach(refuseObject);
  const format = formatOfOption(textOf(parsed, "format") ?? "raw", allFormats, "-f");
  const items = parseOptionLists(listOf(parsed, "options"));
  if (asksForHelp(items)) return creationOptionsText(format);
  const [name, sizeArg, ...more] = parsed.files;
  if (name === undefined) throw usageError("Cannot create an image: its name is missing");
  if (more.length > 0) throw usageError(`Cannot use "${more[0]}": create takes one image and its size`);
  const creation = creationOptions(items, format);
  if (sizeArg !== undefined && creation.size !== undefined) {
    throw usageError("Cannot tell the size: it is given twice, as SIZE and in -o");
  }
  const size = sizeArg ?? creation.size;
  const unseen = isOn(parsed, "backing-unsafe");
  const allowRefs = listOf(parsed, "allow-ref");
  const backing = backingOf(
    textOf(parsed, "backing") ?? creation.backing,
    textOf(parsed, "backing-format") ?? creation.backingFormat,
  );
  const job: CreateJob = {
    path: imagePath(name),
    format: format.name,
    options: creation.options,
    ...(size !== undefined && { size: parseSize(size, "the image") }),
    ...(backing && { backing }),
    ...(unseen && { unseenBacking: true }),
    ...(isOn(parsed, "force-device") && { forceDevice: true }),
    ...(allowRefs.length > 0 && { allowRefs }),
  };
  if (size === undefined && (!backing || unseen)) {
    throw usageError(`Cannot create "${name}": its size is missing, give it after the name`);
  }
  return {
    job: asQemuImg ? targetAsQemuImg(job) : job,
    format,
    given: creation.options,
    view: progressView(parsed),
  };
}

function backingOf(name: string | undefined, format: string | undefined): CreateJob["backing"] {
  if (format !== undefined) formatOfOption(format, allFormats, "-F");
  if (name === undefined && format !== undefined) {
    throw usageError("Cannot use -F without -b: name the backing file, or leave -F out");
  }
  return name === undefined ? undefined : backingSpec(name, format, Deno.build.os === "windows");
}

/** Returns the files of a conversion without sources, which are the same. */
function files({ job: { backing, unseenBacking, allowRefs, ...target } }: CreateRequest): Promise<JobFiles> {
  const { path, format, options } = target;
  return jobFiles({
    sources: [],
    target: { path, format, ...(options && { options }), ...(backing && !unseenBacking && { backing }) },
    ...(allowRefs && { allowRefs }),
  });
}

function work({ job, format, given, view }: CreateRequest, context: CommandContext): Promise<number> {
  return runJob({ view, label: "Creating" }, context, async (hooks) => {
    const { size } = await createImage(job, hooks);
    const { path, backing } = job;
    // The size that was asked for: a format may round it up.
    const line = formattingLine({ path, format, size: job.size ?? size, backing, options: given });
    return view.quiet ? {} : { out: `${visible(line)}\n` };
  });
}
