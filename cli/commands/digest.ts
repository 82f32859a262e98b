/**
 * The command `digest`.
 *
 * @module
 */
import { digest, type DigestSummary, ImageError, imageFiles, parseNumber } from "../../mod.ts";
import type { ImageSpec } from "../../mod.ts";
import { digestLine } from "../report/human.ts";
import { digestCommand } from "./digest_options.ts";
import { outputForm, type Reading, readingOf, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import { parseSnapshot } from "../args/option_list.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface DigestRequest extends Reading {
  readonly form: "human" | "json";
  readonly view: ProgressView;
  readonly workers: number | undefined;
}

function requestOf(parsed: ParsedArgs): DigestRequest {
  if (parsed.files.length === 0) throw new ImageError("usage", "Cannot tell which image is meant: none is given");
  const { images, options } = readingOf(parsed, parsed.files, [["-f", textOf(parsed, "format")]]);
  const snapshot = textOf(parsed, "snapshot");
  const workers = textOf(parsed, "parallel");
  return {
    images: snapshot === undefined ? images : images.map((one) => ({ ...one, snapshot: parseSnapshot(snapshot) })),
    options,
    form: outputForm(parsed, ["human", "json"]),
    view: viewOf(parsed),
    workers: workers === undefined ? undefined : parseNumber(workers, "the number of -m", 1, 16),
  };
}

/** Runs `digest` with the words after its name; the result is the exit code. */
export function runDigest(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand(
    {
      def: digestCommand,
      read: requestOf,
      files: ({ images, options }) => imageFiles(images, options),
      work,
    },
    args,
    context,
  );
}

async function work(request: DigestRequest, context: CommandContext): Promise<number> {
  const found: { [name: string]: unknown }[] = [];
  for (const image of request.images) {
    const code = await one(image, request, context, found);
    if (code !== 0) return code;
  }
  if (request.form === "json") {
    context.io.out(`${JSON.stringify(found.length === 1 ? found[0] : found, null, 4)}\n`);
  }
  return 0;
}

function one(
  image: ImageSpec,
  { options, view, workers, form }: DigestRequest,
  context: CommandContext,
  found: { [name: string]: unknown }[],
): Promise<number> {
  return watch({ view, command: "digest", label: "Hashing" }, context, async (onEvent, telling) => {
    const { signal } = context;
    const more = { signal, onEvent, onWarning: telling.warn, ...(workers !== undefined && { workers }) };
    const result = await digest(image, { ...options, ...more });
    telling.end({ ok: true, code: 0, summary: undefined });
    if (form === "human") context.io.out(digestLine(result.sha256, image.path));
    else found.push(digestJson(result, image.path));
    return 0;
  });
}

function digestJson({ sha256, size, totals }: DigestSummary, filename: string): { [name: string]: unknown } {
  return { filename, "virtual-size": size, sha256, "read": totals.data, "known-zero": totals.zero };
}
