/**
 * Places: the file behind the block map is divided into places, each as long as a block; the map says which block lies
 * in which.
 *
 * @module
 */
import { corrupt, ImageError } from "../errors.ts";
import type { CheckContext } from "../maintenance.ts";
import { blockEnd, dataOffsetOf, isAllocated, placeBytes, type VdiImage } from "./open.ts";

/** A map of more entries is not looked through: it is counted by bits. 512 TiB have 2^29. */
const MAX_ENTRIES = 2 ** 29;

/**
 * What can be wrong with the place of a block:
 *
 * - `outside`: its number is as great as the number of blocks, or greater
 * - `shared`: another block lies there
 * - `lost`: it ends past the end of the file
 */
export type PlaceFault = "outside" | "shared" | "lost";

/** Which places are in use. */
export interface Places {
  /** One bit for each place with a number less than the number of blocks. */
  readonly used: Uint8Array;
  /** Blocks that lie in one of these, two at one place counted twice. */
  readonly blocks: number;
  /** Places in use. */
  readonly count: number;
  /** Behind the last place in use. */
  readonly end: number;
  /** Whole places of the file that are not in use. */
  readonly unused: number;
}

/**
 * Looks at the place of every block.
 *
 * @param wrong told of one thing that is wrong with a block
 * @param entries of how many places there is to be a bit
 * @throws ImageError `unsupported` for a map of too many entries
 */
export async function placesOf(
  image: VdiImage,
  checkpoint: CheckContext["checkpoint"],
  wrong: (index: number, place: number, fault: PlaceFault) => void,
  entries: number = image.map.entries,
): Promise<Places> {
  const { storage: { label, size }, header, map } = image;
  if (entries > MAX_ENTRIES) {
    const message = `Cannot look through "${label}": its map has ${entries} entries, and ${MAX_ENTRIES} is the most`;
    throw new ImageError("unsupported", message, { path: label });
  }
  const used = new Uint8Array(Math.ceil(entries / 8));
  const whole = Math.max(0, Math.floor((size - header.dataOffset) / placeBytes(header)));
  const found = { blocks: 0, count: 0, end: 0, unused: whole };
  const look = (index: number, place: number) => {
    const isLost = blockEnd(header, index, dataOffsetOf(header, place)) > size;
    found.end = Math.max(found.end, place + 1);
    if (place >= map.entries) {
      if (place < whole) found.unused--;
      return wrong(index, place, isLost ? "lost" : "outside");
    }
    found.blocks++;
    if (isUsed(used, place)) return wrong(index, place, "shared");
    use(used, place);
    found.count++;
    if (place < whole) found.unused--;
    if (isLost) wrong(index, place, "lost");
  };
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    for (; index < page.end; index++) if (isAllocated(page.entry(index))) look(index, page.entry(index));
    await checkpoint(index / map.entries);
  }
  return { used, ...found, unused: Math.max(0, found.unused) };
}

/** As {@linkcode placesOf}; throws `corrupt` for anything wrong: writing would make it worse. */
export function soundPlaces(image: VdiImage, checkpoint: () => Promise<void>, entries?: number): Promise<Places> {
  const { storage: { label }, map } = image;
  const refuse = (index: number, place: number, fault: PlaceFault) => {
    const found = {
      outside: `there are only ${map.entries}`,
      shared: "another block lies there",
      lost: "that is past the end of the file",
    }[fault];
    throw corrupt(
      `Cannot write into "${label}": block ${index} lies at place ${place} of the file, and ${found}; ` +
        `"check -r all" mends what can be mended`,
      label,
    );
  };
  return placesOf(image, checkpoint, refuse, entries);
}

/** Whether a place is in use. */
export function isUsed(used: Uint8Array, place: number): boolean {
  return (used[place >> 3]! & (1 << (place & 7))) !== 0;
}

/** Takes note that a place is in use. */
export function use(used: Uint8Array, place: number): void {
  used[place >> 3]! |= 1 << (place & 7);
}

/** Hands out free places from `first` on, the lowest first: other programs count on there being no gaps. */
export function freePlaces(used: Uint8Array, first = 0): () => number {
  let place = first;
  return () => {
    while (isUsed(used, place)) place++;
    use(used, place);
    return place;
  };
}
