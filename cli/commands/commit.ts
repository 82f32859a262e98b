/**
 * The command `commit`.
 *
 * @module
 */
import { resolve } from "node:path";
import { changeFiles, commit, openDisk, parseSize } from "../../mod.ts";
import { editOptions, imagePath, type ImageToEdit, onlyImageToEdit, writeCacheOption } from "../args/edit_options.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import { formatOption, permissionsOption, progressOptions, progressView, READING } from "../args/read_options.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `commit`. */
export const commitCommand: LoadedCommand = {
  options: [
    formatOption,
    {
      short: "b",
      long: "base",
      arg: "file",
      group: READING,
      help: "write into this file of the chain (default: the backing file of the image); the image is not emptied then",
    },
    { short: "d", long: "drop", group: READING, help: "do not empty the image afterwards" },
    { short: "r", long: "rate-limit", arg: "rate", group: READING, help: "write at most this many bytes a second" },
    writeCacheOption,
    ...editOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `The guest data of the image stays the same at every moment. That of other images with the same backing file changes.

Examples:
  diskcast commit -p overlay.qcow2
  diskcast commit -d -b base.qcow2 top.qcow2`,
  run: (args, context) => runCommand({ read: commitRequest, files, work }, args, context),
};

interface CommitRequest extends ImageToEdit {
  readonly base: string | undefined;
  readonly keepsTop: boolean;
  /** Bytes per second; 0: no limit. */
  readonly rateLimit: number;
  readonly view: ProgressView;
}

function commitRequest(parsed: ParsedArgs): CommitRequest {
  const base = textOf(parsed, "base");
  const rate = textOf(parsed, "rate-limit");
  return {
    ...onlyImageToEdit(parsed, "commit"),
    base: base === undefined ? undefined : imagePath(base, "base"),
    keepsTop: isOn(parsed, "drop"),
    rateLimit: rate === undefined ? 0 : parseSize(rate, "-r"),
    view: progressView(parsed),
  };
}

async function files({ image, options, base }: CommitRequest) {
  const touched = await changeFiles(image, options);
  await using disk = await openDisk(image, options);
  const written = base === undefined ? disk.layers[1]?.path : resolve(base);
  return { read: touched.read, write: [...touched.write, ...(written === undefined ? [] : [written])] };
}

function work(request: CommitRequest, context: CommandContext): Promise<number> {
  const { image, options, base, keepsTop, rateLimit, view } = request;
  return runJob({ view, label: "Committing" }, context, async (hooks) => {
    await commit(image, { ...options, keepsTop, rateLimit, ...hooks, ...(base !== undefined && { base }) });
    return view.quiet ? {} : { out: "Image committed.\n" };
  });
}
