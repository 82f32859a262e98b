/**
 * Writing into an existing image.
 *
 * @module
 */
import type { DiskWriter, EditContext } from "../contract.ts";
import { uninitialisedBlocks } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { randomUuid } from "../shared/uuid.ts";
import { rewriteHeader } from "./header.ts";
import { readImage } from "./open.ts";
import { fileBlockAllocator, requireValidAllocation } from "./block_allocation.ts";
import { type BlockTarget, blockWriter } from "./writer.ts";

/**
 * Opens an existing image for writing. The image gets a new UUID of its content, by which overlays detect the change.
 *
 * @throws ImageError `corrupt`, `unsupported`, and what `context.openBacking` throws
 */
export async function editVdi(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const { header, map, backing } = image;
  const allocation = await requireValidAllocation(image, () => Promise.resolve());
  const free = fileBlockAllocator(allocation.used);
  let allocated = allocation.count;
  const parent = backing === null ? null : await context.openBacking(backing);
  const target: BlockTarget = {
    storage,
    header,
    map,
    uninitialised: uninitialisedBlocks((start, end) => storage.zeroAt(start, end)),
    parent,
    nextEntry() {
      allocated++;
      return free();
    },
  };
  return blockWriter(target, false, async () => {
    await target.uninitialised.finish();
    await map.flush();
    await rewriteHeader(storage, { allocated, modifiedUuid: randomUuid("mixed") });
  });
}
