/**
 * Room for a longer block map: blocks that lie behind it in the file move to other places.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { PIECE } from "../content.ts";
import type { WritableStorage } from "../storage/types.ts";
import { dataOffsetOf, isAllocated, placeBytes, readImage, type VdiImage } from "./open.ts";
import type { Header } from "./header.ts";
import { rewriteHeader } from "./header_write.ts";
import { writeEntries } from "./block_map_write.ts";
import { freePlaces, soundPlaces } from "./block_allocation.ts";

/**
 * Makes sure that a map of `entries` entries ends before the blocks begin. The disk stays as it is, byte for byte.
 *
 * The first places are cleared. A new map, which has the rest numbered anew, is written behind the old one; then one
 * sector, the header, says that it counts. Until then the old map is whole.
 *
 * @throws ImageError `corrupt`; `unsupported` where the header cannot say where things would lie
 */
export async function makeRoom(
  storage: WritableStorage,
  entries: number,
  checkpoint: () => Promise<void>,
): Promise<VdiImage> {
  const image = await readImage(storage);
  const { header, map } = image;
  if (header.mapOffset + entries * 4 <= header.dataOffset) return image;
  const mapOffset = alignUp(header.mapOffset + map.entries * 4, SECTOR);
  const cleared = Math.max(0, Math.ceil((mapOffset + entries * 4 - header.dataOffset) / placeBytes(header)));
  const dataOffset = header.dataOffset + cleared * placeBytes(header);
  if (dataOffset > 0xffff_ffff) {
    const message = `Cannot resize "${storage.label}": its blocks would begin at ${dataOffset}, ` +
      `past the 4 GiB that its header can tell; convert it into a new image`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const count = await clearPlaces(storage, image, cleared, checkpoint);
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

/** Moves the blocks in the first `cleared` places behind them. Returns how many blocks there are. */
async function clearPlaces(
  storage: WritableStorage,
  image: VdiImage,
  cleared: number,
  checkpoint: () => Promise<void>,
): Promise<number> {
  const { header, map } = image;
  const places = await soundPlaces(image, checkpoint, map.entries + cleared);
  const next = freePlaces(places.used, cleared);
  const moved = new Map<number, number>();
  let end = places.end;
  for (let index = 0; index < map.entries; index++) {
    const place = (await map.load(index)).entry(index);
    if (place >= cleared) continue;
    const target = next();
    end = Math.max(end, target + 1);
    await copyPlace(storage, header, place, target);
    moved.set(index, target);
    await checkpoint();
  }
  if (moved.size === 0) return places.count;
  // Other programs put the next new block there.
  await rewriteHeader(storage, { allocated: end });
  await storage.sync();
  for (const [index, target] of moved) await map.set(index, target);
  await map.flush();
  await storage.sync();
  return places.count;
}

/** Copies what lies in a place into another one; past the end of the file lie zeroes. */
export async function copyPlace(storage: WritableStorage, header: Header, from: number, to: number): Promise<void> {
  const [source, target] = [from, to].map((place) => dataOffsetOf(header, place) - header.extraBytes);
  const length = placeBytes(header);
  const there = Math.max(0, Math.min(length, storage.size - source!));
  for (let at = 0; at < there; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, there - at));
    await storage.readAt(piece, source! + at);
    await storage.writeAt(piece, target! + at);
  }
  if (there < length) await storage.zeroAt(target! + there, target! + length);
}
