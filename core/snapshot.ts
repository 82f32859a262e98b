/**
 * Creates, applies, removes and lists internal snapshots of an existing image.
 *
 * @module
 */
import type { NewSnapshot, SnapshotChoice } from "../formats/mod.ts";
import { type ChangeOptions, type ChangeSpec, openForChange, verbOf, withPhases } from "./open_for_change.ts";
import { inspect, type SnapshotInfo } from "./inspect.ts";
import type { OpenDiskOptions } from "./open/open_disk.ts";

/** A change of the snapshots of an image. */
export type SnapshotAction =
  | { readonly action: "create"; readonly name: string; readonly date?: Date }
  /** The disk returns to the state of the snapshot, which stays. */
  | { readonly action: "apply"; readonly snapshot: SnapshotChoice }
  | { readonly action: "remove"; readonly snapshot: SnapshotChoice };

/** Implements `changeSnapshots` of `mod.ts`. */
export async function changeSnapshots(
  image: ChangeSpec,
  action: SnapshotAction,
  options: ChangeOptions = {},
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const changed = await openForChange(image, options, stack);
  const { storage, context } = changed;
  const verbs = verbOf(changed, "snapshots", "change snapshots of");
  await withPhases(options, () => {
    if (action.action === "apply") return verbs.apply(storage, action.snapshot, context);
    if (action.action === "remove") return verbs.remove(storage, action.snapshot, context);
    return verbs.create(storage, newSnapshot(action), context);
  });
}

function newSnapshot({ name, date }: SnapshotAction & { readonly action: "create" }): NewSnapshot {
  const milliseconds = (date ?? new Date()).getTime();
  const dateSeconds = Math.floor(milliseconds / 1000);
  const dateNanoseconds = (milliseconds - dateSeconds * 1000) * 1_000_000;
  return { name, dateSeconds, dateNanoseconds };
}

/** Implements `listSnapshots` of `mod.ts`. */
export async function listSnapshots(
  image: ChangeSpec,
  options: OpenDiskOptions = {},
): Promise<readonly SnapshotInfo[]> {
  return (await inspect(image, options)).snapshots;
}
