/**
 * The command `snapshot`.
 *
 * @module
 */
import { changeFiles, changeSnapshots, ImageError, listSnapshots } from "../mod.ts";
import type { SnapshotAction } from "../mod.ts";
import { type Changing, changingOne } from "./changing.ts";
import { snapshotTable } from "./human.ts";
import { isOn, textOf } from "./reading.ts";
import { visible } from "./report.ts";
import { runCommand } from "./run_command.ts";
import { snapshotCommand } from "./snapshot_options.ts";
import type { CommandContext, ParsedArgs } from "./command_def.ts";

interface SnapshotRequest extends Changing {
  readonly action: SnapshotAction | { readonly act: "list" };
}

function requestOf(parsed: ParsedArgs): SnapshotRequest {
  const name = textOf(parsed, "create");
  const apply = textOf(parsed, "apply");
  const remove = textOf(parsed, "delete");
  const actions: SnapshotRequest["action"][] = [
    ...(isOn(parsed, "list") ? [{ act: "list" as const }] : []),
    ...(name === undefined ? [] : [{ act: "create" as const, name }]),
    ...(apply === undefined ? [] : [{ act: "apply" as const, snapshot: { idOrName: apply } }]),
    ...(remove === undefined ? [] : [{ act: "remove" as const, snapshot: { idOrName: remove } }]),
  ];
  if (actions.length > 1) throw new ImageError("usage", "Cannot do more than one of -l, -c, -a and -d at once");
  return { ...changingOne(parsed, "snapshot"), action: actions[0] ?? { act: "list" } };
}

/** Runs `snapshot` with the words after its name; the result is the exit code. */
export function runSnapshot(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: snapshotCommand, read: requestOf, files, work }, args, context);
}

async function files({ image, options, action }: SnapshotRequest) {
  const touched = await changeFiles(image, { ...options, chain: false });
  return action.act === "list" ? { read: touched.read, write: [] } : touched;
}

async function work({ image, options, action }: SnapshotRequest, { io, signal }: CommandContext): Promise<number> {
  if (action.act !== "list") {
    await changeSnapshots(image, action, { ...options, signal });
    return 0;
  }
  const onWarning = (message: string) => io.err(`diskcast: warning: ${visible(message)}\n`);
  const snapshots = await listSnapshots(image, { ...options, onWarning });
  if (snapshots.length > 0) io.out(`Snapshot list:\n${snapshotTable(snapshots)}`);
  return 0;
}
