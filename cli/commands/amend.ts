/**
 * The command `amend`.
 *
 * @module
 */
import { allFormats, amend, changeFiles, inspect } from "../../mod.ts";
import { optionLines } from "../args/creation_options.ts";
import { editOptions, type ImageToEdit, onlyImageToEdit, writeCacheOption } from "../args/edit_options.ts";
import { asksForHelp, optionValues, parseOptionLists } from "../args/option_list.ts";
import { listOf, textOf } from "../args/parse_args.ts";
import { formatOption, permissionsOption, progressOptions, progressView, READING } from "../args/read_options.ts";
import { formatOfOption, usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `amend`. */
export const amendCommand: LoadedCommand = {
  options: [
    formatOption,
    {
      short: "o",
      long: "options",
      arg: "options",
      repeats: true,
      group: READING,
      help: 'key=value[,key=value...]; "-o help" with -f or an image lists them; can be repeated',
    },
    { long: "force", group: READING, help: "accepted, without effect: no option that can be amended needs it" },
    writeCacheOption,
    ...editOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `Examples:
  diskcast amend -f qcow2 -o help
  diskcast amend -o compat=1.1,lazy_refcounts=on disk.qcow2
  diskcast amend -o refcount_bits=8 disk.qcow2`,
  run: (args, context) =>
    runCommand(
      { read: amendRequest, files: ({ image, options }) => changeFiles(image, options), work },
      args,
      context,
    ),
};

interface AmendRequest extends ImageToEdit {
  /** The new values; absent: list the options of the image's format. */
  readonly values: { readonly [name: string]: string } | undefined;
  readonly view: ProgressView;
}

function amendRequest(parsed: ParsedArgs): AmendRequest | string {
  const items = parseOptionLists(listOf(parsed, "options"));
  const format = textOf(parsed, "format");
  const view = progressView(parsed);
  if (asksForHelp(items)) {
    if (format !== undefined) return amendableText(format);
    if (parsed.files.length === 0) {
      throw usageError("Cannot list the options of amend: give an image, or its format with -f");
    }
    return { ...onlyImageToEdit(parsed, "amend", false), values: undefined, view };
  }
  if (items.length === 0) throw usageError("Cannot tell what to amend: give options with -o");
  const names = allFormats.flatMap(({ maintenance }) => maintenance?.amend?.options ?? []).map((spec) => spec.name);
  return { ...onlyImageToEdit(parsed, "amend"), values: optionValues(items, names), view };
}

/** Returns the options that images of a format can amend, as `-o help` prints them. */
function amendableText(name: string): string {
  const { maintenance } = formatOfOption(name, allFormats, "-f");
  const specs = maintenance?.amend?.options ?? [];
  if (specs.length === 0) return `Images of format "${name}" have no options that can be amended\n`;
  return `Amendable options of format "${name}":\n${optionLines(specs)}`;
}

function work({ image, values, options, view }: AmendRequest, context: CommandContext): Promise<number> {
  return runJob({ view, label: "Amending" }, context, async (hooks) => {
    if (values === undefined) return { out: amendableText((await inspect(image, options)).format) };
    await amend(image, values, { ...options, ...hooks });
    return {};
  });
}
