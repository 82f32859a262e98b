/**
 * The command `rebase`.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { allFormats, changeFiles, ImageError, rebase } from "../../mod.ts";
import type { NamedFile } from "../../mod.ts";
import { type Changing, changingOne, imagePath } from "../args/edit_args.ts";
import { formatNamed } from "../args/convert_rules.ts";
import { storablePath } from "../args/image_names.ts";
import { isOn, syncOf, textOf, viewOf } from "../args/read_args.ts";
import { rebaseCommand } from "./rebase_options.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface RebaseRequest extends Changing {
  readonly backing: NamedFile | null;
  readonly unsafe: boolean;
  readonly compress: boolean;
  readonly dropsSame: boolean;
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): RebaseRequest {
  const changing = changingOne(parsed, "rebase");
  const name = textOf(parsed, "backing");
  const format = textOf(parsed, "backing-format");
  if (name === undefined) {
    throw new ImageError("usage", 'Cannot tell what the new backing file is: name it with -b, or none with -b ""');
  }
  if (format !== undefined) formatNamed(format, allFormats, "-F");
  syncOf(parsed, "backing-cache", "-T");
  const unsafe = isOn(parsed, "backing-unsafe");
  const compress = isOn(parsed, "compress");
  const dropsSame = isOn(parsed, "drop-identical");
  if (unsafe && (compress || dropsSame)) {
    throw new ImageError("usage", "Cannot use -u with -c or --drop-identical: it changes the name alone");
  }
  return { ...changing, backing: backingOf(name, format), unsafe, compress, dropsSame, view: viewOf(parsed) };
}

function backingOf(name: string, format: string | undefined): NamedFile | null {
  if (name === "") return null;
  const windows = Deno.build.os === "windows";
  const path = storablePath(imagePath(name, "backing file"), windows);
  return { name: path, ...(format !== undefined && { format }) };
}

/** Runs `rebase` with the words after its name; the result is the exit code. */
export function runRebase(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: rebaseCommand, read: requestOf, files, work }, args, context);
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
  return watch({ view, command: "rebase", label: "Rebasing" }, context, async (onEvent, telling) => {
    const { signal } = context;
    const onWarning = telling.warn;
    await rebase(image, backing, { ...options, unsafe, compress, dropsSame, signal, onEvent, onWarning });
    telling.end({ ok: true, code: 0, summary: undefined });
    return 0;
  });
}
