/**
 * The command `rebase`.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { allFormats, changeFiles, rebase } from "../../mod.ts";
import type { NamedFile } from "../../mod.ts";
import { editOptions, imagePath, type ImageToEdit, onlyImageToEdit, writeCacheOption } from "../args/edit_options.ts";
import { storablePath } from "../args/image_names.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import {
  cacheOption,
  formatOption,
  permissionsOption,
  progressOptions,
  progressView,
  READING,
  syncOf,
} from "../args/read_options.ts";
import { formatOfOption, usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `rebase`. */
export const rebaseCommand: LoadedCommand = {
  options: [
    formatOption,
    {
      short: "b",
      long: "backing",
      arg: "file",
      group: READING,
      help: 'the new backing file, seen from the folder of the image; -b "" copies everything into the image',
    },
    { short: "F", alias: "B", long: "backing-format", arg: "fmt", group: READING, help: "format of the backing file" },
    { short: "u", long: "backing-unsafe", group: READING, help: "change the name alone, for a file that was moved" },
    { short: "c", long: "compress", group: READING, help: "compress the data that is copied into the image" },
    {
      long: "drop-identical",
      group: READING,
      help: "deallocate data that the new backing file holds as well, so that the image becomes smaller",
    },
    writeCacheOption,
    { ...cacheOption, long: "backing-cache" },
    {
      short: "U",
      long: "force-share",
      group: READING,
      help: "open backing files although others are writing to them",
    },
    ...editOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `The guest data of the image stays the same at every moment. With -u nothing is compared: the new backing file must
hold the data of the old one.

Examples:
  diskcast rebase -b base.qcow2 -F qcow2 overlay.qcow2
  diskcast rebase -b "" overlay.qcow2
  diskcast rebase -u -b moved/base.qcow2 -F qcow2 overlay.qcow2`,
  run: (args, context) => runCommand({ read: rebaseRequest, files, work }, args, context),
};

interface RebaseRequest extends ImageToEdit {
  /** `null`: none. */
  readonly backing: NamedFile | null;
  readonly unsafe: boolean;
  readonly compress: boolean;
  readonly dropsSame: boolean;
  readonly view: ProgressView;
}

function rebaseRequest(parsed: ParsedArgs): RebaseRequest {
  const edited = onlyImageToEdit(parsed, "rebase");
  const name = textOf(parsed, "backing");
  const format = textOf(parsed, "backing-format");
  if (name === undefined) {
    throw usageError('Cannot tell what the new backing file is: name it with -b, or none with -b ""');
  }
  if (format !== undefined) formatOfOption(format, allFormats, "-F");
  syncOf(parsed, "backing-cache", "-T");
  const unsafe = isOn(parsed, "backing-unsafe");
  const compress = isOn(parsed, "compress");
  const dropsSame = isOn(parsed, "drop-identical");
  if (unsafe && (compress || dropsSame)) {
    throw usageError("Cannot use -u with -c or --drop-identical: it changes the name alone");
  }
  return { ...edited, backing: backingOf(name, format), unsafe, compress, dropsSame, view: progressView(parsed) };
}

function backingOf(name: string, format: string | undefined): NamedFile | null {
  if (name === "") return null;
  const path = storablePath(imagePath(name, "backing file"), Deno.build.os === "windows");
  return { name: path, ...(format !== undefined && { format }) };
}

async function files({ image, options, backing, unsafe }: RebaseRequest) {
  if (unsafe) return await changeFiles(image, { ...options, chain: false });
  const next = backing === null ? [] : [{
    path: resolve(dirname(image.path), backing.name),
    ...(backing.format !== undefined && { format: backing.format }),
  }];
  return await changeFiles(image, options, next);
}

function work(request: RebaseRequest, context: CommandContext): Promise<number> {
  const { image, backing, options, unsafe, compress, dropsSame, view } = request;
  return runJob({ view, label: "Rebasing" }, context, async (hooks) => {
    await rebase(image, backing, { ...options, unsafe, compress, dropsSame, ...hooks });
    return {};
  });
}
