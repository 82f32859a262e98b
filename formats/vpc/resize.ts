/**
 * Changes the size of the disk.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import { checkNewSize, fillWithZeroes, refuseMetadataPreallocation, zeroMethodFor } from "../shared/growth.ts";
import { hasNoHoles } from "../shared/uninitialised_blocks.ts";
import type { ChangeContext, CheckContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { resizedFooter } from "./footer.ts";
import { truncateTo } from "./footer_copies.ts";
import { type FoundFooter, readImage } from "./structures.ts";
import { MAX_SIZE } from "./options.ts";
import { growBlocks, shrinkBlocks } from "./resize_dynamic.ts";

/**
 * Makes the disk `size` guest bytes long; new guest bytes read as zeroes. A file without holes keeps none, for Windows.
 *
 * @throws ImageError `usage` for an impossible size or preallocation; `corrupt`; `unsupported`
 */
export async function resizeVpc(
  storage: WritableStorage,
  size: number,
  preallocation: Preallocation,
  context: ChangeContext,
): Promise<void> {
  checkNewSize(storage, size, { bytes: MAX_SIZE, text: "2040 GiB" });
  const image = await readImage(storage);
  const { blocks } = image;
  if (size === image.size) return;
  if (blocks === null) await resizeFixed(storage, image, size, preallocation, context);
  else if (size < image.size) await shrinkBlocks(storage, image, blocks, size, context);
  else await growBlocks(storage, image, blocks, size, preallocation, context);
}

/**
 * Changes the size of a fixed image. The file ends with a valid footer at any time: first the old footer moves behind
 * the new end of the disk, then the new guest bytes are filled with zeroes, then one sector states the new size.
 *
 * @throws ImageError `usage` for `metadata`
 */
async function resizeFixed(
  storage: WritableStorage,
  image: FoundFooter & { readonly size: number },
  size: number,
  preallocation: Preallocation,
  { checkpoint }: CheckContext,
): Promise<void> {
  refuseMetadataPreallocation(storage, preallocation);
  const filling = zeroMethodFor(preallocation, !await hasNoHoles(storage));
  const used = storage.size;
  let footerAt = image.endOffset;
  if (footerAt < size || footerAt % SECTOR !== 0) {
    footerAt = Math.max(size, alignUp(used, SECTOR));
    await storage.writeAt(image.bytes, footerAt);
    await storage.sync();
  }
  if (size > image.size) {
    try {
      await fillWithZeroes(storage, image.size, size, filling, checkpoint, used);
    } catch (error) {
      // The disk may be full: the space allocated so far is freed.
      await truncateTo(storage, image.bytes, footerAt, alignUp(image.endOffset, SECTOR));
      throw error;
    }
  }
  await storage.sync();
  const footer = resizedFooter(image.bytes, size);
  await storage.writeAt(footer, footerAt);
  await storage.sync();
  await truncateTo(storage, footer, footerAt, size);
}
