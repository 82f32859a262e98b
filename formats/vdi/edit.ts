/**
 * Existing images, opened for writing.
 *
 * @module
 */
import type { DiskWriter, EditContext } from "../contract.ts";
import { corrupt } from "../errors.ts";
import { freshAreas } from "../fresh_areas.ts";
import type { WritableStorage } from "../storage/types.ts";
import { randomUuid } from "../uuid.ts";
import { blockOffset, isAllocated, readImage, type VdiImage } from "./disk.ts";
import { HEADER_BYTES, patchHeader } from "./header.ts";
import { type BlockTarget, blockWriter } from "./writer.ts";

/**
 * Opens an existing image for writing. It gets a new UUID of its content, so that images above it are known to be stale.
 *
 * @throws ImageError `corrupt`, `unsupported`, and what `context.openBelow` throws
 */
export async function editVdi(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const image = await readImage(storage);
  const { header, map, backing } = image;
  const used = await usedEntries(image);
  const below = backing === null ? null : await context.openBelow(backing);
  const target: BlockTarget = {
    storage,
    header,
    map,
    fresh: freshAreas((start, end) => storage.zeroAt(start, end)),
    below,
    nextEntry: () => used.take(),
  };
  return blockWriter(target, false, async () => {
    await target.fresh.finish();
    await map.flush();
    await finishHeader(storage, used.count());
  });
}

/** Which entries are in use. New blocks take the lowest free one: other programs count on there being no gaps. */
interface UsedEntries {
  take(): number;
  count(): number;
}

async function usedEntries(image: VdiImage): Promise<UsedEntries> {
  const { map, storage } = image;
  const used = new Uint8Array(Math.ceil(map.entries / 8));
  let count = 0;
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    for (; index < page.end; index++) {
      const entry = page.entry(index);
      if (!isAllocated(entry)) continue;
      blockOffset(image, page, index);
      if (entry >= map.entries || (used[entry >> 3] & (1 << (entry & 7))) !== 0) {
        const found = entry >= map.entries ? `there are only ${map.entries}` : "another block lies there";
        throw corrupt(
          `Cannot write into "${storage.label}": block ${index} lies at place ${entry} of the file, and ${found}`,
          storage.label,
        );
      }
      used[entry >> 3] |= 1 << (entry & 7);
      count++;
    }
  }
  let lowest = 0;
  return {
    take() {
      while ((used[lowest >> 3] & (1 << (lowest & 7))) !== 0) lowest++;
      used[lowest >> 3] |= 1 << (lowest & 7);
      count++;
      return lowest;
    },
    count: () => count,
  };
}

async function finishHeader(storage: WritableStorage, allocated: number): Promise<void> {
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, 0);
  patchHeader(bytes, { allocated, modifiedUuid: randomUuid("mixed") });
  await storage.writeAt(bytes, 0);
}
