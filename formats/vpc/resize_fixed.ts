/**
 * Another size for the disk of a fixed image, whose only structure is the footer at the end of the file.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import { hasNoHoles } from "../shared/uninitialised_blocks.ts";
import { fillWithZeroes, refuseMetadataPreallocation, zeroMethodFor } from "../shared/growth.ts";
import type { CheckContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { resizedFooter } from "./footer.ts";
import { cutTo } from "./footer_copies.ts";
import type { FoundFooter } from "./structures.ts";

/**
 * Makes the disk `size` guest bytes long. At every moment a sound footer is the end of the file: first the old one moves
 * out of the way, then the new end of the disk is cleared, then one sector states the new size.
 *
 * @throws ImageError `usage` for `metadata`
 */
export async function resizeFixed(
  storage: WritableStorage,
  image: FoundFooter & { readonly size: number },
  size: number,
  growth: Preallocation,
  { checkpoint }: CheckContext,
): Promise<void> {
  refuseMetadataPreallocation(storage, growth);
  const filling = zeroMethodFor(growth, !await hasNoHoles(storage));
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
      await cutTo(storage, image.bytes, footerAt, alignUp(image.endOffset, SECTOR));
      throw error;
    }
  }
  await storage.sync();
  const footer = resizedFooter(image.bytes, size);
  await storage.writeAt(footer, footerAt);
  await storage.sync();
  await cutTo(storage, footer, footerAt, size);
}
