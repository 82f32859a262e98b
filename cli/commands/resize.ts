/**
 * The command `resize`.
 *
 * @module
 */
import { changeFiles, ImageError, parseSize, resize } from "../../mod.ts";
import type { GrowthKind } from "../../mod.ts";
import { type Changing, changingOf } from "../args/edit_args.ts";
import { isOn, textOf, viewOf } from "../args/read_args.ts";
import { resizeCommand } from "./resize_options.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface ResizeRequest extends Changing {
  readonly size: number | { readonly by: number };
  readonly shrink: boolean;
  readonly growth: GrowthKind;
  readonly view: ProgressView;
}

const GROWTHS: readonly GrowthKind[] = ["off", "metadata", "falloc", "full"];

/** A size, or a change of it. */
export function sizeOrChange(text: string): ResizeRequest["size"] {
  const [sign, rest] = /^[+-]/.test(text) ? [text[0], text.slice(1)] : ["", text];
  const size = parseSize(rest, "the disk");
  return sign === "" ? size : { by: sign === "-" ? -size : size };
}

function requestOf(parsed: ParsedArgs): ResizeRequest {
  const [name, size, ...more] = parsed.files;
  if (name === undefined || size === undefined || more.length > 0) {
    throw new ImageError("usage", "Cannot tell what to resize: give the image, then its new size");
  }
  const mode = textOf(parsed, "preallocation") ?? "off";
  const growth = GROWTHS.find((one) => one === mode);
  if (growth === undefined) {
    throw new ImageError("usage", `Cannot preallocate "${mode}": it must be ${GROWTHS.join(", ")}`);
  }
  return {
    ...changingOf(parsed, name),
    size: sizeOrChange(size),
    shrink: isOn(parsed, "shrink"),
    growth,
    view: viewOf(parsed),
  };
}

/** `-10M` as the last word is a size, and no option. */
export function withSizeLast(args: readonly string[]): readonly string[] {
  const last = args.at(-1) ?? "";
  return /^-\d/.test(last) && !args.includes("--") ? [...args.slice(0, -1), "--", last] : args;
}

/** Runs `resize` with the words after its name; the result is the exit code. */
export function runResize(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand(
    { def: resizeCommand, read: requestOf, files: ({ image, options }) => changeFiles(image, options), work },
    withSizeLast(args),
    context,
  );
}

function work(request: ResizeRequest, context: CommandContext): Promise<number> {
  const { image, size, options, shrink, growth, view } = request;
  return watch({ view, command: "resize", label: "Resizing" }, context, async (onEvent, telling) => {
    const { io, signal } = context;
    await resize(image, size, { ...options, shrink, growth, signal, onEvent, onWarning: telling.warn });
    telling.end({ ok: true, code: 0, summary: undefined });
    if (!view.quiet) io.out("Image resized.\n");
    return 0;
  });
}
