/**
 * Repair of an image, as far as that needs no guess at guest data.
 *
 * @module
 */
import { FREE } from "../shared/block_table.ts";
import type { CheckContext, RepairScope } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { blockEnd, dataOffsetOf, isAllocated } from "./block_map.ts";
import { compact } from "./compact.ts";
import { readImage, type VdiImage } from "./open.ts";
import { type AllocationFault, readAllocation } from "./block_allocation.ts";

/**
 * Repairs the image in `storage`; guest bytes stay the same. Blocks outside the range that other programs accept move,
 * blocks that share a file block are separated, and the header gets their number. Blocks past the end of the file become
 * zeroes; not in an image with a parent, whose old bytes would show.
 *
 * @throws ImageError where the image does not open
 */
export async function repairVdi(storage: WritableStorage, scope: RepairScope, context: CheckContext): Promise<void> {
  const checkpoint = () => context.checkpoint();
  const image = await readImage(storage);
  const faults: { [Fault in AllocationFault]: number } = { outside: 0, shared: 0, lost: 0 };
  const { count, unused } = await readAllocation(image, checkpoint, (_index, _fileBlock, fault) => faults[fault]++);
  if (scope === "leaks" && (unused === 0 || faults.outside + faults.shared + faults.lost > 0)) return;
  if (faults.lost > 0 && image.backing !== null) return;
  // A map that refers to one file block many times must not make the file many times as long.
  if (faults.shared > count) return;
  if (faults.lost > 0) await freeLostBlocks(storage, image, checkpoint);
  await compact(storage, checkpoint);
}

/** Extends blocks that the end of the file truncates with zeroes, and frees blocks that lie past it. */
async function freeLostBlocks(
  storage: WritableStorage,
  { header, map }: VdiImage,
  checkpoint: () => Promise<void>,
): Promise<void> {
  const { size } = storage;
  let end = size;
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    for (; index < page.end; index++) {
      const start = isAllocated(page.entry(index)) ? dataOffsetOf(header, page.entry(index)) : size;
      if (start < size && blockEnd(header, index, start) > end) end = start + header.blockSize;
    }
    await checkpoint();
  }
  if (end > size) await storage.truncate(end);
  await storage.sync();
  for (let index = 0; index < map.entries; index++) {
    const entry = (await map.load(index)).entry(index);
    if (isAllocated(entry) && dataOffsetOf(header, entry) >= size) await map.set(index, FREE);
    await checkpoint();
  }
  await map.flush();
  await storage.sync();
}
