/**
 * The command `commit`.
 *
 * @module
 */
import { resolve } from "node:path";
import { changeFiles, commit, openDisk, parseSize } from "../../mod.ts";
import { type Changing, changingOne, imagePath } from "../args/edit_args.ts";
import { commitCommand } from "./commit_options.ts";
import { isOn, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface CommitRequest extends Changing {
  readonly base: string | undefined;
  readonly keepsTop: boolean;
  readonly rateLimit: number;
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): CommitRequest {
  const base = textOf(parsed, "base");
  const rate = textOf(parsed, "rate-limit");
  return {
    ...changingOne(parsed, "commit"),
    base: base === undefined ? undefined : imagePath(base, "base"),
    keepsTop: isOn(parsed, "drop"),
    rateLimit: rate === undefined ? 0 : parseSize(rate, "-r"),
    view: viewOf(parsed),
  };
}

/** Runs `commit` with the words after its name; the result is the exit code. */
export function runCommit(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: commitCommand, read: requestOf, files, work }, args, context);
}

async function files({ image, options, base }: CommitRequest) {
  const touched = await changeFiles(image, options);
  await using disk = await openDisk(image, options);
  const written = base === undefined ? disk.layers[1]?.path : resolve(base);
  return { read: touched.read, write: [...touched.write, ...(written === undefined ? [] : [written])] };
}

function work(request: CommitRequest, context: CommandContext): Promise<number> {
  const { image, options, base, keepsTop, rateLimit, view } = request;
  return watch({ view, command: "commit", label: "Committing" }, context, async (onEvent, telling) => {
    const more = { keepsTop, rateLimit, signal: context.signal, onEvent, onWarning: telling.warn };
    await commit(image, { ...options, ...more, ...(base !== undefined && { base }) });
    telling.end({ ok: true, code: 0, summary: undefined });
    if (!view.quiet) context.io.out("Image committed.\n");
    return 0;
  });
}
