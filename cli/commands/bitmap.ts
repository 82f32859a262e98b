/**
 * The command `bitmap`.
 *
 * @module
 */
import { allFormats, changeBitmap, changeFiles, ImageError, parseSize } from "../../mod.ts";
import type { BitmapChange, ChangeSpec } from "../../mod.ts";
import { bitmapCommand } from "./bitmap_options.ts";
import { type Changing, changingOf, imagePath } from "../args/edit_args.ts";
import { formatNamed } from "../args/convert_rules.ts";
import { isOn, listOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface BitmapRequest extends Changing {
  readonly name: string;
  readonly changes: readonly BitmapChange[];
  readonly source: ChangeSpec | undefined;
  readonly view: ProgressView;
}

const ACTIONS = ["add", "remove", "clear", "enable", "disable", "merge"] as const;

function requestOf(parsed: ParsedArgs): BitmapRequest {
  const [image, name, ...more] = parsed.files;
  if (image === undefined || name === undefined || more.length > 0) {
    throw new ImageError("usage", "Cannot tell which bitmap is meant: give the image, then the bitmap");
  }
  const source = sourceOf(parsed);
  const changes = changesOf(parsed, source);
  return { ...changingOf(parsed, image), name, changes, source, view: viewOf(parsed) };
}

function sourceOf(parsed: ParsedArgs): ChangeSpec | undefined {
  const file = textOf(parsed, "source-file");
  const format = textOf(parsed, "source-format");
  if (file !== undefined && listOf(parsed, "merge").length === 0) {
    throw new ImageError("usage", "Cannot use -b without --merge: it says where that bitmap is");
  }
  if (format !== undefined && file === undefined) throw new ImageError("usage", "Cannot use -F without -b");
  if (format !== undefined) formatNamed(format, allFormats, "-F");
  return file === undefined ? undefined : { path: imagePath(file, "source"), ...(format !== undefined && { format }) };
}

function changesOf(parsed: ParsedArgs, source: ChangeSpec | undefined): BitmapChange[] {
  const order = parsed.order.filter((name) => (ACTIONS as readonly string[]).includes(name));
  const sources = [...listOf(parsed, "merge")];
  const granularity = textOf(parsed, "granularity");
  if (order.length === 0) {
    throw new ImageError(
      "usage",
      `Cannot tell what to do: give one of ${ACTIONS.map((action) => `--${action}`).join(", ")}`,
    );
  }
  if (granularity !== undefined && !isOn(parsed, "add")) {
    throw new ImageError("usage", "Cannot use -g without --add: a bitmap keeps its granularity");
  }
  return order.map((action): BitmapChange => {
    if (action === "merge") return { action, source: sources.shift()!, ...(source && { image: source }) };
    if (action !== "add") return { action: action as "remove" | "clear" | "enable" | "disable" };
    return { action, ...(granularity !== undefined && { granularity: parseSize(granularity, "-g") }) };
  });
}

/** Runs `bitmap` with the words after its name; the result is the exit code. */
export function runBitmap(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: bitmapCommand, read: requestOf, files, work }, args, context);
}

async function files({ image, options, source }: BitmapRequest) {
  return await changeFiles(image, { ...options, chain: false }, source ? [{ ...source, backing: null }] : []);
}

function work({ image, name, changes, options, view }: BitmapRequest, context: CommandContext): Promise<number> {
  return watch({ view, command: "bitmap", label: "Changing the bitmap" }, context, async (onEvent, telling) => {
    const { signal } = context;
    await changeBitmap(image, name, changes, { ...options, signal, onEvent, onWarning: telling.warn });
    telling.end({ ok: true, code: 0, summary: undefined });
    return 0;
  });
}
