/**
 * Changes of the disk size.
 *
 * @module
 */
import { FREE, openBlockTable } from "../shared/block_table.ts";
import { ceilDiv } from "../bytes.ts";
import { uninitialisedBlocks } from "../shared/uninitialised_blocks.ts";
import {
  checkNewSize,
  fillWithZeroes,
  refuseMetadataPreallocation,
  truncateOnFailure,
  zeroMethodFor,
  zeroNewEnd,
} from "../shared/growth.ts";
import type { ChangeContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { randomUuid } from "../shared/uuid.ts";
import { isAllocated, writeEntries } from "./block_map.ts";
import { rewriteHeader } from "./header.ts";
import { compact } from "./compact.ts";
import { readImage, type VdiImage } from "./open.ts";
import { makeRoomForMap } from "./move_blocks.ts";
import { MAX_SIZE } from "./options.ts";
import { fileBlockAllocator, requireValidAllocation } from "./block_allocation.ts";
import { allocate, type BlockTarget, blockWriter } from "./writer.ts";

/** New blocks that are allocated before they are filled. */
const BATCH_BLOCKS = 1024;

/**
 * Changes the size of the disk to `size` guest bytes. New bytes read as zeroes. A static image stays static: all its
 * blocks are allocated.
 *
 * @throws ImageError `usage` for an impossible size or preallocation; `corrupt`; `unsupported`
 */
export async function resizeVdi(
  storage: WritableStorage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  checkNewSize(storage, size, { bytes: MAX_SIZE, text: "512 TiB less 128 MiB" });
  const image = await readImage(storage);
  if (image.header.type === "static") refuseMetadataPreallocation(storage, growth);
  if (size === image.header.size) return;
  const entries = Math.max(image.map.entries, ceilDiv(size, image.header.blockSize));
  const allocation = await requireValidAllocation(image, () => context.checkpoint(), entries);
  if (size < image.header.size) return await shrink(storage, image, size, allocation.end, context);
  // Entries behind the end of the disk would show their old bytes.
  if (image.map.entries > ceilDiv(image.header.size, image.header.blockSize)) {
    await shrink(storage, image, image.header.size, allocation.end, context);
  }
  await grow(storage, await readImage(storage), size, growth, context);
}

/** Writes the header first, after which readers ignore the blocks past the end; then deallocates these. */
async function shrink(
  storage: WritableStorage,
  { header }: VdiImage,
  size: number,
  placesEnd: number,
  { checkpoint }: ChangeContext,
): Promise<void> {
  const blocks = ceilDiv(size, header.blockSize);
  await rewriteHeader(storage, { size, blocks, allocated: placesEnd, modifiedUuid: randomUuid("mixed") });
  await storage.sync();
  await compact(storage, () => checkpoint());
}

/** Writes new entries and blocks past the old end of the disk; then the header, one sector, switches to the new size. */
async function grow(
  storage: WritableStorage,
  { backing, header: { blockSize, size: oldSize } }: VdiImage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  const parent = backing === null ? null : await context.openBacking(backing);
  const blocks = ceilDiv(size, blockSize);
  const image = await makeRoomForMap(storage, blocks, () => context.checkpoint());
  const longer = await lengthenMap(storage, image, size, blocks);
  const allocation = await requireValidAllocation(image, () => context.checkpoint(), blocks);
  const next = fileBlockAllocator(allocation.used);
  let [allocated, end] = [allocation.count, allocation.end];
  // All blocks of a static image are allocated, as holes of the file where no preallocation is asked for.
  const wanted = image.header.type === "static" && growth === "off" ? "metadata" : growth;
  const zeroMethod = zeroMethodFor(wanted, true);
  const target: BlockTarget = {
    ...longer,
    storage,
    parent,
    uninitialised: uninitialisedBlocks((start, fillEnd) =>
      fillWithZeroes(storage, start, fillEnd, zeroMethod, () => context.checkpoint())
    ),
    nextEntry() {
      const fileBlock = next();
      allocated++;
      end = Math.max(end, fileBlock + 1);
      return fileBlock;
    },
  };
  const flush = async () => {
    await target.uninitialised.finish();
    // Other programs allocate the next block at this number.
    if (allocated !== image.header.allocated) await rewriteHeader(storage, { allocated: end });
    await storage.sync();
    await longer.map.flush();
  };
  await zeroNewEnd(blockWriter(target, false, () => Promise.resolve()), oldSize, target.parent, flush, context);
  await truncateOnFailure(storage, async () => {
    if (wanted !== "off") await allocateNew(target, oldSize, context);
    await target.uninitialised.finish();
  });
  await longer.map.flush();
  await storage.sync();
  await rewriteHeader(storage, { size, blocks, allocated, modifiedUuid: randomUuid("mixed") });
  await storage.sync();
}

/** Extends the map with free entries. Returns the image with the new map; the header still has the old one. */
async function lengthenMap(
  storage: WritableStorage,
  { header, map, backing }: VdiImage,
  size: number,
  blocks: number,
): Promise<VdiImage> {
  const { mapOffset } = header;
  const free = (first: number, end: number) => new Uint32Array(end - first).fill(FREE);
  await writeEntries(storage, { mapOffset, first: map.entries, end: blocks, entriesOf: free });
  const location = { fileOffset: mapOffset, entries: blocks, littleEndian: true };
  return { storage, header: { ...header, size, blocks }, map: openBlockTable(storage, location), backing };
}

/** Allocates every block of the new end. */
async function allocateNew(target: BlockTarget, oldSize: number, { checkpoint }: ChangeContext): Promise<void> {
  const { map, header: { blockSize } } = target;
  const first = ceilDiv(oldSize, blockSize);
  for (let index = first; index < map.entries; index++) {
    const entry = (await map.load(index)).entry(index);
    if (!isAllocated(entry)) await allocate(target, index);
    if (index % BATCH_BLOCKS === 0) await target.uninitialised.finish();
    await checkpoint((index - first) / (map.entries - first));
  }
}
