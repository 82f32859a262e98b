/**
 * Room for a longer block map: moves the blocks that follow it in the file.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { PIECE } from "../content.ts";
import type { WritableStorage } from "../storage/types.ts";
import { dataOffsetOf, fileBlockBytes, isAllocated, writeEntries } from "./block_map.ts";
import { readImage, type VdiImage } from "./open.ts";
import { type Header, rewriteHeader } from "./header.ts";
import { fileBlockAllocator, requireValidAllocation } from "./block_allocation.ts";

/**
 * Makes room for a map of `entries` entries before the first block, and returns the image. The guest bytes stay the same.
 *
 * The blocks in the first file blocks are moved. A new map, with the remaining file blocks renumbered, is written after the
 * old one; then the header, one sector, switches to it. Until then the old map stays valid.
 *
 * @throws ImageError `corrupt`; `unsupported` where the new offsets exceed the fields of the header
 */
export async function makeRoomForMap(
  storage: WritableStorage,
  entries: number,
  checkpoint: () => Promise<void>,
): Promise<VdiImage> {
  const image = await readImage(storage);
  const { header, map } = image;
  if (header.mapOffset + entries * 4 <= header.dataOffset) return image;
  const mapOffset = alignUp(header.mapOffset + map.entries * 4, SECTOR);
  const cleared = Math.max(0, Math.ceil((mapOffset + entries * 4 - header.dataOffset) / fileBlockBytes(header)));
  const dataOffset = header.dataOffset + cleared * fileBlockBytes(header);
  if (dataOffset > 0xffff_ffff) {
    const message = `Cannot resize "${storage.label}": its blocks would begin at ${dataOffset}, ` +
      `past the 4 GiB that its header can tell; convert it into a new image`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const count = await moveBlocksAway(storage, image, cleared, checkpoint);
  await writeEntries(storage, {
    mapOffset,
    first: 0,
    end: map.entries,
    async entriesOf(first, end) {
      await checkpoint();
      const found: number[] = [];
      for (let index = first; index < end; index++) {
        const entry = (await map.load(index)).entry(index);
        found.push(isAllocated(entry) ? entry - cleared : entry);
      }
      return found;
    },
  });
  await storage.sync();
  await rewriteHeader(storage, { mapOffset, dataOffset, allocated: count });
  await storage.sync();
  return await readImage(storage);
}

/** Moves the blocks out of the first `cleared` file blocks. Returns the number of allocated blocks. */
async function moveBlocksAway(
  storage: WritableStorage,
  image: VdiImage,
  cleared: number,
  checkpoint: () => Promise<void>,
): Promise<number> {
  const { header, map } = image;
  const allocation = await requireValidAllocation(image, checkpoint, map.entries + cleared);
  const next = fileBlockAllocator(allocation.used, cleared);
  const moved = new Map<number, number>();
  let end = allocation.end;
  for (let index = 0; index < map.entries; index++) {
    const fileBlock = (await map.load(index)).entry(index);
    if (fileBlock >= cleared) continue;
    const target = next();
    end = Math.max(end, target + 1);
    await copyFileBlock(storage, header, fileBlock, target);
    moved.set(index, target);
    await checkpoint();
  }
  if (moved.size === 0) return allocation.count;
  // Other programs allocate the next block at this number.
  await rewriteHeader(storage, { allocated: end });
  await storage.sync();
  for (const [index, target] of moved) await map.set(index, target);
  await map.flush();
  await storage.sync();
  return allocation.count;
}

/** Copies a file block into another one; bytes past the end of the file are copied as zeroes. */
export async function copyFileBlock(storage: WritableStorage, header: Header, from: number, to: number): Promise<void> {
  const [source, target] = [from, to].map((fileBlock) => dataOffsetOf(header, fileBlock) - header.extraBytes);
  const length = fileBlockBytes(header);
  const there = Math.max(0, Math.min(length, storage.size - source!));
  for (let at = 0; at < there; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, there - at));
    await storage.readAt(piece, source! + at);
    await storage.writeAt(piece, target! + at);
  }
  if (there < length) await storage.zeroAt(target! + there, target! + length);
}
