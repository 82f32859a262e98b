/**
 * Another size for the disk.
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
import { compact } from "./compact.ts";
import { isAllocated, readImage, type VdiImage } from "./open.ts";
import { rewriteHeader } from "./header_write.ts";
import { makeRoom } from "./move_blocks.ts";
import { writeEntries } from "./block_map_write.ts";
import { MAX_SIZE } from "./options.ts";
import { freePlaces, soundPlaces } from "./block_allocation.ts";
import { allocate, type BlockTarget, blockWriter } from "./writer.ts";

/** New blocks that are noted before they are filled. */
const BATCH = 1024;

/**
 * Makes the disk `size` guest bytes long. What is cut off is gone; what is new reads as zeroes. A static image stays
 * one: every block has its place.
 *
 * @throws ImageError `usage` for a size or a preallocation that cannot be; `corrupt`; `unsupported`
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
  const places = await soundPlaces(image, () => context.checkpoint(), entries);
  if (size > image.header.size) await grow(storage, image, size, growth, context);
  else await shrink(storage, image, size, places.end, context);
}

/** The header comes first: from then on nobody looks at what lies behind. Its places are given back after that. */
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

/** Everything is put in place where the disk of today does not reach; then the header, one sector, states the size. */
async function grow(
  storage: WritableStorage,
  { backing, header: { blockSize, size: oldSize } }: VdiImage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  const below = backing === null ? null : await context.openBacking(backing);
  const blocks = ceilDiv(size, blockSize);
  const image = await makeRoom(storage, blocks, () => context.checkpoint());
  const longer = await lengthenMap(storage, image, size, blocks);
  const places = await soundPlaces(image, () => context.checkpoint(), blocks);
  const next = freePlaces(places.used);
  let [allocated, end] = [places.count, places.end];
  // A static image has a place for every block, with holes where nothing else is wanted.
  const wanted = image.header.type === "static" && growth === "off" ? "metadata" : growth;
  const filling = zeroMethodFor(wanted, true);
  const target: BlockTarget = {
    ...longer,
    storage,
    below,
    fresh: uninitialisedBlocks((start, fillEnd) =>
      fillWithZeroes(storage, start, fillEnd, filling, () => context.checkpoint())
    ),
    nextEntry() {
      const place = next();
      allocated++;
      end = Math.max(end, place + 1);
      return place;
    },
  };
  const settle = async () => {
    await target.fresh.finish();
    // Other programs put the next new block there.
    if (allocated !== image.header.allocated) await rewriteHeader(storage, { allocated: end });
    await storage.sync();
    await longer.map.flush();
  };
  await zeroNewEnd(blockWriter(target, false, () => Promise.resolve()), oldSize, target.below, settle, context);
  await truncateOnFailure(storage, async () => {
    if (wanted !== "off") await allocateNew(target, oldSize, context);
    await target.fresh.finish();
  });
  await longer.map.flush();
  await storage.sync();
  await rewriteHeader(storage, { size, blocks, allocated, modifiedUuid: randomUuid("mixed") });
  await storage.sync();
}

/** Makes the map long enough, what is new of it free. Returns the image with it; the header does not know it yet. */
async function lengthenMap(
  storage: WritableStorage,
  { header, map, backing }: VdiImage,
  size: number,
  blocks: number,
): Promise<VdiImage> {
  const { mapOffset } = header;
  const free = (first: number, end: number) => new Uint32Array(end - first).fill(FREE);
  await writeEntries(storage, { mapOffset, first: map.entries, end: blocks, entriesOf: free });
  const place = { fileOffset: mapOffset, entries: blocks, littleEndian: true };
  return { storage, header: { ...header, size, blocks }, map: openBlockTable(storage, place), backing };
}

/** Gives every block of the new end a place. */
async function allocateNew(target: BlockTarget, oldSize: number, { checkpoint }: ChangeContext): Promise<void> {
  const { map, header: { blockSize } } = target;
  const first = ceilDiv(oldSize, blockSize);
  for (let index = first; index < map.entries; index++) {
    const entry = (await map.load(index)).entry(index);
    if (!isAllocated(entry)) await allocate(target, index);
    if (index % BATCH === 0) await target.fresh.finish();
    await checkpoint((index - first) / (map.entries - first));
  }
}
