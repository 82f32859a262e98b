/**
 * Mending an image, as far as that needs no guess at data.
 *
 * @module
 */
import { FREE } from "../shared/block_table.ts";
import type { CheckContext, RepairScope } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { compact } from "./compact.ts";
import { blockEnd, dataOffsetOf, isAllocated, readImage, type VdiImage } from "./open.ts";
import { type PlaceFault, placesOf } from "./block_allocation.ts";

/**
 * Mends the image in `storage`. The disk stays as it reads: blocks in places that other programs do not find move, blocks
 * at one place get one each, the header counts them. What the file has lost reads as zeroes from then on; not in an image
 * with a parent, whose old bytes would show.
 *
 * @throws ImageError where it does not open
 */
export async function repairVdi(storage: WritableStorage, what: RepairScope, context: CheckContext): Promise<void> {
  const checkpoint = () => context.checkpoint();
  const image = await readImage(storage);
  const faults: { [Fault in PlaceFault]: number } = { outside: 0, shared: 0, lost: 0 };
  const { count, unused } = await placesOf(image, checkpoint, (_index, _place, fault) => faults[fault]++);
  if (what === "leaks" && (unused === 0 || faults.outside + faults.shared + faults.lost > 0)) return;
  if (faults.lost > 0 && image.backing !== null) return;
  // A file must not become many times as long by a map that names one place over and over.
  if (faults.shared > count) return;
  if (faults.lost > 0) await forgetLost(storage, image, checkpoint);
  await compact(storage, checkpoint);
}

/** Completes what the file cuts off with zeroes, and frees the blocks of which nothing is there. */
async function forgetLost(
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
