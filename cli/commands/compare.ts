/**
 * The command `compare`.
 *
 * @module
 */
import { compare, ImageError, imageFiles } from "../../mod.ts";
import type { CompareStage, Comparison } from "../../mod.ts";
import { compareCommand } from "./compare_options.ts";
import { isOn, type Reading, readingOf, syncOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface CompareRequest {
  /** Told late: a format or cache mode that there is not is, as with qemu-img, an image that cannot be opened. */
  readonly reading: () => Reading;
  readonly strict: boolean;
  readonly view: ProgressView;
}

/** The exit code of a failure, by what was being done. */
const FAILURE: { readonly [stage in CompareStage]: number } = { open: 2, status: 3, read: 4 };

function requestOf(parsed: ParsedArgs): CompareRequest {
  const { files } = parsed;
  if (files.length !== 2) {
    throw new ImageError("usage", `Cannot compare ${files.length} images: give two`);
  }
  const formats = [["-f", textOf(parsed, "a-format")], ["-F", textOf(parsed, "b-format")]] as const;
  const reading = () => {
    syncOf(parsed, "cache", "-T");
    return readingOf(parsed, files, formats);
  };
  return { reading, strict: isOn(parsed, "strict"), view: viewOf(parsed) };
}

/** Runs `compare` with the words after its name; the result is the exit code. */
export function runCompare(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand(
    {
      def: compareCommand,
      read: requestOf,
      files: ({ reading }) => {
        const { images, options } = reading();
        return imageFiles(images, options);
      },
      work,
    },
    args,
    context,
  );
}

function work({ reading, strict, view }: CompareRequest, context: CommandContext): Promise<number> {
  let stage: CompareStage = "open";
  const watched = { view, command: "compare", label: "Comparing", failure: () => FAILURE[stage] };
  return watch(watched, context, async (onEvent, telling) => {
    const { images, options } = reading();
    const found = await compare(images[0], images[1], {
      ...options,
      strict,
      signal: context.signal,
      onEvent,
      onWarning: telling.warn,
      onStage: (now) => stage = now,
    });
    const code = found.identical ? 0 : 1;
    telling.end({ ok: true, code, summary: undefined });
    if (!view.quiet) context.io.out(comparisonText(found));
    return code;
  });
}

/** The result in the words of qemu-img. */
export function comparisonText({ identical, difference, at, sizes }: Comparison): string {
  if (difference === "size") return "Strict mode: Image size mismatch!\n";
  if (difference === "status") return `Strict mode: Offset ${at} block status mismatch!\n`;
  const shorter = Math.min(...sizes);
  const warning = sizes[0] !== sizes[1] && (identical || at! >= shorter) ? "Warning: Image size mismatch!\n" : "";
  return `${warning}${identical ? "Images are identical." : `Content mismatch at offset ${at}!`}\n`;
}
