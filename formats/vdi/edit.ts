/**
 * Existing images, opened for writing.
 *
 * @module
 */
import type { DiskWriter, EditContext } from "../contract.ts";
import { uninitialisedBlocks } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { randomUuid } from "../shared/uuid.ts";
import { readImage } from "./open.ts";
import { rewriteHeader } from "./header_write.ts";
import { freePlaces, soundPlaces } from "./block_allocation.ts";
import { type BlockTarget, blockWriter } from "./writer.ts";

/**
 * Opens an existing image for writing. It gets a new UUID of its content, so that images above it are known to be stale.
 *
 * @throws ImageError `corrupt`, `unsupported`, and what `context.openBacking` throws
 */
export async function editVdi(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const { header, map, backing } = image;
  const places = await soundPlaces(image, () => Promise.resolve());
  const free = freePlaces(places.used);
  let allocated = places.count;
  const below = backing === null ? null : await context.openBacking(backing);
  const target: BlockTarget = {
    storage,
    header,
    map,
    fresh: uninitialisedBlocks((start, end) => storage.zeroAt(start, end)),
    below,
    nextEntry() {
      allocated++;
      return free();
    },
  };
  return blockWriter(target, false, async () => {
    await target.fresh.finish();
    await map.flush();
    await rewriteHeader(storage, { allocated, modifiedUuid: randomUuid("mixed") });
  });
}
