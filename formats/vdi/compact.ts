/**
 * Compaction: other programs take the number of allocated blocks for the number of the next free file block.
 *
 * @module
 */
import type { WritableStorage } from "../storage/types.ts";
import { dataOffsetOf, isAllocated } from "./block_map.ts";
import { rewriteHeader } from "./header.ts";
import { readImage } from "./open.ts";
import { copyFileBlock } from "./move_blocks.ts";
import { fileBlockAllocator, isUsed, markUsed, readAllocation } from "./block_allocation.ts";

/**
 * Moves blocks from the end of the file into free file blocks, separates blocks that share a file block, writes their number
 * into the header, and truncates the file. The guest bytes stay the same. Every block must lie within the file.
 *
 * A copy is on stable storage before the map refers to it, and no file block that the map refers to is overwritten.
 */
export async function compact(storage: WritableStorage, checkpoint: () => Promise<void>): Promise<void> {
  const image = await readImage(storage);
  const { header, map } = image;
  let outside = 0;
  const allocation = await readAllocation(image, checkpoint, (_index, _fileBlock, fault) => {
    if (fault === "outside") outside++;
  });
  const count = allocation.blocks + outside;
  if (allocation.end > header.allocated) {
    await rewriteHeader(storage, { allocated: Math.min(allocation.end, 0xffff_ffff) });
    await storage.sync();
  }
  const next = fileBlockAllocator(allocation.used);
  const kept = new Uint8Array(allocation.used.length);
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    const moved = new Map<number, number>();
    for (; index < page.end; index++) {
      const fileBlock = page.entry(index);
      if (!isAllocated(fileBlock)) continue;
      if (fileBlock < count && !isUsed(kept, fileBlock)) {
        markUsed(kept, fileBlock);
        continue;
      }
      const target = next();
      await copyFileBlock(storage, header, fileBlock, target);
      moved.set(index, target);
      await checkpoint();
    }
    if (moved.size === 0) continue;
    await storage.sync();
    for (const [moving, target] of moved) await map.set(moving, target);
    await map.flush();
    await storage.sync();
  }
  if (header.allocated !== count || allocation.end > count) await rewriteHeader(storage, { allocated: count });
  await storage.sync();
  const end = dataOffsetOf(header, count) - header.extraBytes;
  if (storage.size > end) await storage.truncate(end);
  await storage.sync();
}
