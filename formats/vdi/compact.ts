/**
 * Blocks without gaps between them: other programs take the number of blocks for the next free place.
 *
 * @module
 */
import type { WritableStorage } from "../storage/types.ts";
import { dataOffsetOf, isAllocated, readImage } from "./open.ts";
import { rewriteHeader } from "./header_write.ts";
import { copyPlace } from "./move_blocks.ts";
import { freePlaces, isUsed, placesOf, use } from "./block_allocation.ts";

/**
 * Moves blocks from the end of the file into places that nobody uses, gives blocks that share a place one each, makes
 * the header count them, and cuts off the rest. The disk stays as it is, byte for byte. Every block must lie within the
 * file.
 *
 * A copy is on stable storage before the map says so, and no place is written that the map names.
 */
export async function compact(storage: WritableStorage, checkpoint: () => Promise<void>): Promise<void> {
  const image = await readImage(storage);
  const { header, map } = image;
  let outside = 0;
  const places = await placesOf(image, checkpoint, (_index, _place, fault) => {
    if (fault === "outside") outside++;
  });
  const count = places.blocks + outside;
  if (places.end > header.allocated) {
    await rewriteHeader(storage, { allocated: Math.min(places.end, 0xffff_ffff) });
    await storage.sync();
  }
  const next = freePlaces(places.used);
  const kept = new Uint8Array(places.used.length);
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    const moved = new Map<number, number>();
    for (; index < page.end; index++) {
      const place = page.entry(index);
      if (!isAllocated(place)) continue;
      if (place < count && !isUsed(kept, place)) {
        use(kept, place);
        continue;
      }
      const target = next();
      await copyPlace(storage, header, place, target);
      moved.set(index, target);
      await checkpoint();
    }
    if (moved.size === 0) continue;
    await storage.sync();
    for (const [moving, target] of moved) await map.set(moving, target);
    await map.flush();
    await storage.sync();
  }
  if (header.allocated !== count || places.end > count) await rewriteHeader(storage, { allocated: count });
  await storage.sync();
  const end = dataOffsetOf(header, count) - header.extraBytes;
  if (storage.size > end) await storage.truncate(end);
  await storage.sync();
}
