/**
 * Another size for the disk.
 *
 * @module
 */
import { checkNewSize } from "../shared/growth.ts";
import type { ChangeContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { readImage } from "./structures.ts";
import { MAX_SIZE } from "./options.ts";
import { growBlocks, shrinkBlocks } from "./resize_dynamic.ts";
import { resizeFixed } from "./resize_fixed.ts";

/**
 * Makes the disk `size` guest bytes long. What is cut off is gone; what is new reads as zeroes. A file without holes is
 * kept without holes, for Windows.
 *
 * @throws ImageError `usage` for a size or a preallocation that cannot be; `corrupt`; `unsupported`
 */
export async function resizeVpc(
  storage: WritableStorage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  checkNewSize(storage, size, { bytes: MAX_SIZE, text: "2040 GiB" });
  const image = await readImage(storage);
  const { blocks } = image;
  if (size === image.size) return;
  if (blocks === null) await resizeFixed(storage, image, size, growth, context);
  else if (size < image.size) await shrinkBlocks(storage, image, blocks, size, context);
  else await growBlocks(storage, image, blocks, size, growth, context);
}
