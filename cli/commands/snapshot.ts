/**
 * The command `snapshot`.
 *
 * @module
 */
import { changeFiles, changeSnapshots, listSnapshots } from "../../mod.ts";
import type { SnapshotAction } from "../../mod.ts";
import { editOptions, type ImageToEdit, onlyImageToEdit, refuseForceShare } from "../args/edit_options.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import { formatOption, permissionsOption, progressOptions, progressView, READING } from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { snapshotTable } from "../report/results.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `snapshot`. */
export const snapshotCommand: LoadedCommand = {
  options: [
    formatOption,
    { short: "l", long: "list", group: READING, help: "list the snapshots (default)" },
    { short: "c", long: "create", arg: "name", group: READING, help: "take a snapshot of the disk as it is" },
    {
      short: "a",
      long: "apply",
      arg: "snapshot",
      group: READING,
      help: "reset the disk to this snapshot (ID or name); its present data is lost",
    },
    { short: "d", long: "delete", arg: "snapshot", group: READING, help: "remove this snapshot: ID or name" },
    { short: "U", long: "force-share", group: READING, help: "with -l: list although others are writing to the image" },
    ...editOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `Examples:
  diskcast snapshot disk.qcow2
  diskcast snapshot -c before-upgrade disk.qcow2
  diskcast snapshot -a before-upgrade disk.qcow2
  diskcast snapshot -d before-upgrade disk.qcow2`,
  run: (args, context) => runCommand({ read: snapshotRequest, files, work }, args, context),
};

interface SnapshotRequest extends ImageToEdit {
  readonly action: SnapshotAction | { readonly action: "list" };
  readonly view: ProgressView;
}

function snapshotRequest(parsed: ParsedArgs): SnapshotRequest {
  const name = textOf(parsed, "create");
  const apply = textOf(parsed, "apply");
  const remove = textOf(parsed, "delete");
  const actions: SnapshotRequest["action"][] = [
    ...(isOn(parsed, "list") ? [{ action: "list" as const }] : []),
    ...(name === undefined ? [] : [{ action: "create" as const, name }]),
    ...(apply === undefined ? [] : [{ action: "apply" as const, snapshot: { idOrName: apply } }]),
    ...(remove === undefined ? [] : [{ action: "remove" as const, snapshot: { idOrName: remove } }]),
  ];
  if (actions.length > 1) throw usageError("Cannot do more than one of -l, -c, -a and -d at once");
  const action = actions[0] ?? { action: "list" };
  const writes = action.action !== "list";
  refuseForceShare(parsed, writes);
  return { ...onlyImageToEdit(parsed, "snapshot", writes), action, view: progressView(parsed) };
}

async function files({ image, options, action }: SnapshotRequest) {
  const touched = await changeFiles(image, { ...options, chain: false });
  return action.action === "list" ? { read: touched.read, write: [] } : touched;
}

const LABELS = { list: "Reading", create: "Taking the snapshot", apply: "Loading", remove: "Removing" };

function work({ image, options, action, view }: SnapshotRequest, context: CommandContext): Promise<number> {
  return runJob({ view, label: LABELS[action.action] }, context, async (hooks) => {
    const all = { ...options, ...hooks };
    if (action.action !== "list") await changeSnapshots(image, action, all);
    const snapshots = action.action === "list" ? await listSnapshots(image, all) : [];
    return snapshots.length === 0 ? {} : { out: `Snapshot list:\n${snapshotTable(snapshots)}` };
  });
}
