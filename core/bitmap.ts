/**
 * Adds, removes and changes persistent dirty bitmaps of an existing image.
 *
 * @module
 */
import { type Bitmap, type BitmapAction, type BitmapSource, type Disk, ImageError } from "../formats/mod.ts";
import {
  type ChangedImage,
  type ChangeOptions,
  type ChangeSpec,
  openForChange,
  verbOf,
  withPhases,
} from "./open_for_change.ts";
import { openImage } from "./open/open.ts";

/** A change of a bitmap. */
export type BitmapChange =
  /** `granularity`: guest bytes of a bit. Default: the cluster size, but at least 4 KiB and at most 64 KiB. */
  | { readonly action: "add"; readonly granularity?: number; readonly enabled?: boolean }
  | { readonly action: "remove" | "clear" | "enable" | "disable" }
  /** Sets each bit that is set in the bitmap `source`, of this image or of `image`. */
  | { readonly action: "merge"; readonly source: string; readonly image?: ChangeSpec };

/** Implements `changeBitmap` of `mod.ts`. */
export async function changeBitmap(
  image: ChangeSpec,
  name: string,
  changes: readonly BitmapChange[],
  options: ChangeOptions = {},
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const changed = await openForChange(image, options, stack);
  const bitmaps = verbOf(changed, "bitmaps", "change bitmaps of");
  const actions: BitmapAction[] = [];
  for (const change of changes) actions.push(await actionOf(change, changed, stack));
  await withPhases(options, () => bitmaps.change(changed.storage, name, actions, changed.context));
}

async function actionOf(
  change: BitmapChange,
  changed: ChangedImage,
  stack: AsyncDisposableStack,
): Promise<BitmapAction> {
  if (change.action === "add") {
    return { action: "add", granularity: change.granularity ?? null, enabled: change.enabled ?? true };
  }
  if (change.action !== "merge") return { action: change.action };
  const disk = change.image === undefined
    ? await changed.read()
    : stack.use(await openImage({ ...change.image, backing: null }, changed.open)).layers[0].disk;
  return { action: "merge", from: sourceOf(disk, change.source, change.image?.path ?? changed.path) };
}

function sourceOf({ bitmaps = [], size }: Disk, name: string, path: string): BitmapSource {
  const found = bitmaps.find((bitmap: Bitmap) => bitmap.name === name);
  if (found === undefined) {
    throw new ImageError("missing", `Cannot merge the bitmap "${name}": "${path}" has none of that name`, { path });
  }
  if (found.inconsistent) {
    throw new ImageError("unsupported", `Cannot merge the bitmap "${name}" of "${path}": it is inconsistent`, { path });
  }
  return { name, size, granularity: found.granularity, pieces: () => found.pieces() };
}
