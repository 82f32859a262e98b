/**
 * The command `amend`.
 *
 * @module
 */
import { allFormats, amend, changeFiles, ImageError, inspect } from "../../mod.ts";
import { amendCommand } from "./amend_options.ts";
import { type Changing, changingOne } from "../args/edit_args.ts";
import { optionsText } from "./convert.ts";
import { formatNamed } from "../args/convert_rules.ts";
import { listOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import { asksForHelp, optionValues, parseOptionLists } from "../args/option_list.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface AmendRequest extends Changing {
  /** Absent: the options that there are, are to be told. */
  readonly given: { readonly [name: string]: string } | undefined;
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): AmendRequest | string {
  const items = parseOptionLists(listOf(parsed, "options"));
  const format = textOf(parsed, "format");
  if (asksForHelp(items)) {
    if (format !== undefined) return helpFor(format);
    if (parsed.files.length === 0) {
      throw new ImageError("usage", "Cannot list the options of amend: give an image, or its format with -f");
    }
    return { ...changingOne(parsed, "amend", false), given: undefined, view: viewOf(parsed) };
  }
  if (items.length === 0) throw new ImageError("usage", "Cannot tell what to amend: give options with -o");
  const names = allFormats.flatMap(({ maintenance }) => maintenance?.amendOptions ?? []).map((spec) => spec.name);
  return { ...changingOne(parsed, "amend"), given: optionValues(items, names), view: viewOf(parsed) };
}

/** The options that images of a format can amend. */
function helpFor(name: string): string {
  const format = formatNamed(name, allFormats, "-f");
  const specs = format.maintenance?.amendOptions ?? [];
  if (specs.length === 0) return `Images of format "${name}" have no options that can be amended\n`;
  const text = optionsText({
    ...format,
    createOptions: specs,
    has: { ...format.has, backing: false, overlays: false },
  });
  return text.replace("Creation options", "Amendable options");
}

/** Runs `amend` with the words after its name; the result is the exit code. */
export function runAmend(args: readonly string[], context: CommandContext): Promise<number> {
  const files = ({ image, options }: AmendRequest) => changeFiles(image, options);
  return runCommand({ def: amendCommand, read: requestOf, files, work }, args, context);
}

function work({ image, given, options, view }: AmendRequest, context: CommandContext): Promise<number> {
  return watch({ view, command: "amend", label: "Amending" }, context, async (onEvent, telling) => {
    if (given === undefined) {
      const { format } = await inspect(image, options);
      telling.end({ ok: true, code: 0, summary: undefined });
      context.io.out(helpFor(format));
      return 0;
    }
    await amend(image, given, { ...options, signal: context.signal, onEvent, onWarning: telling.warn });
    telling.end({ ok: true, code: 0, summary: undefined });
    return 0;
  });
}
