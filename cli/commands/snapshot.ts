/**
 * The command `snapshot`.
 *
 * @module
 */
import { changeFiles, changeSnapshots, ImageError, listSnapshots } from "../../mod.ts";
import type { SnapshotAction } from "../../mod.ts";
import { type Changing, changingOne, refuseShared } from "../args/edit_args.ts";
import { snapshotTable } from "../report/human.ts";
import { isOn, textOf, viewOf } from "../args/read_args.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import { snapshotCommand } from "./snapshot_options.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface SnapshotRequest extends Changing {
  readonly action: SnapshotAction | { readonly action: "list" };
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): SnapshotRequest {
  const name = textOf(parsed, "create");
  const apply = textOf(parsed, "apply");
  const remove = textOf(parsed, "delete");
  const actions: SnapshotRequest["action"][] = [
    ...(isOn(parsed, "list") ? [{ action: "list" as const }] : []),
    ...(name === undefined ? [] : [{ action: "create" as const, name }]),
    ...(apply === undefined ? [] : [{ action: "apply" as const, snapshot: { idOrName: apply } }]),
    ...(remove === undefined ? [] : [{ action: "remove" as const, snapshot: { idOrName: remove } }]),
  ];
  if (actions.length > 1) throw new ImageError("usage", "Cannot do more than one of -l, -c, -a and -d at once");
  const action = actions[0] ?? { action: "list" };
  const changes = action.action !== "list";
  refuseShared(parsed, changes);
  return { ...changingOne(parsed, "snapshot", changes), action, view: viewOf(parsed) };
}

/** Runs `snapshot` with the words after its name; the result is the exit code. */
export function runSnapshot(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: snapshotCommand, read: requestOf, files, work }, args, context);
}

async function files({ image, options, action }: SnapshotRequest) {
  const touched = await changeFiles(image, { ...options, chain: false });
  return action.action === "list" ? { read: touched.read, write: [] } : touched;
}

const LABELS = { list: "Reading", create: "Taking the snapshot", apply: "Loading", remove: "Removing" };

function work({ image, options, action, view }: SnapshotRequest, context: CommandContext): Promise<number> {
  const label = LABELS[action.action];
  return watch({ view, command: "snapshot", label }, context, async (onEvent, telling) => {
    const { io, signal } = context;
    const more = { ...options, signal, onEvent, onWarning: telling.warn };
    if (action.action !== "list") await changeSnapshots(image, action, more);
    const snapshots = action.action === "list" ? await listSnapshots(image, more) : [];
    telling.end({ ok: true, code: 0, summary: undefined });
    if (snapshots.length > 0) io.out(`Snapshot list:\n${snapshotTable(snapshots)}`);
    return 0;
  });
}
