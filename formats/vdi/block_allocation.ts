/**
 * The allocation of file blocks: which of them the block map refers to.
 *
 * @module
 */
import { corrupt, ImageError } from "../errors.ts";
import type { CheckContext } from "../maintenance.ts";
import { blockEnd, dataOffsetOf, fileBlockBytes, isAllocated } from "./block_map.ts";
import type { VdiImage } from "./open.ts";

/** The greatest number of entries that is read: each takes a bit of memory. A disk of 512 TiB has 2^29. */
const MAX_ENTRIES = 2 ** 29;

/**
 * Faults of an allocated block:
 *
 * - `outside`: the number of its file block is not less than the number of guest blocks
 * - `shared`: another block has the same file block
 * - `lost`: its guest bytes end past the end of the file
 */
export type AllocationFault = "outside" | "shared" | "lost";

/** The file blocks in use. */
export interface Allocation {
  /** One bit for each file block with a number less than the number of entries. */
  readonly used: Uint8Array;
  /** Guest blocks in these file blocks; two in one file block count twice. */
  readonly blocks: number;
  /** Number of file blocks in use. */
  readonly count: number;
  /** Number of the last file block in use, plus 1. */
  readonly end: number;
  /** Whole file blocks of the file that are not in use. */
  readonly unused: number;
}

/**
 * Reads all entries of the map.
 *
 * @param onFault called for each fault
 * @param entries number of file blocks that get a bit
 * @throws ImageError `unsupported` for a map of too many entries
 */
export async function readAllocation(
  image: VdiImage,
  checkpoint: CheckContext["checkpoint"],
  onFault: (index: number, fileBlock: number, fault: AllocationFault) => void,
  entries: number = image.map.entries,
): Promise<Allocation> {
  const { storage: { label, size }, header, map } = image;
  if (entries > MAX_ENTRIES) {
    const message = `Cannot look through "${label}": its map has ${entries} entries, and ${MAX_ENTRIES} is the most`;
    throw new ImageError("unsupported", message, { path: label });
  }
  const used = new Uint8Array(Math.ceil(entries / 8));
  const whole = Math.max(0, Math.floor((size - header.dataOffset) / fileBlockBytes(header)));
  const found = { blocks: 0, count: 0, end: 0, unused: whole };
  const visit = (index: number, fileBlock: number) => {
    const isLost = blockEnd(header, index, dataOffsetOf(header, fileBlock)) > size;
    found.end = Math.max(found.end, fileBlock + 1);
    if (fileBlock >= map.entries) {
      if (fileBlock < whole) found.unused--;
      return onFault(index, fileBlock, isLost ? "lost" : "outside");
    }
    found.blocks++;
    if (isUsed(used, fileBlock)) return onFault(index, fileBlock, "shared");
    markUsed(used, fileBlock);
    found.count++;
    if (fileBlock < whole) found.unused--;
    if (isLost) onFault(index, fileBlock, "lost");
  };
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    for (; index < page.end; index++) if (isAllocated(page.entry(index))) visit(index, page.entry(index));
    await checkpoint(index / map.entries);
  }
  return { used, ...found, unused: Math.max(0, found.unused) };
}

/** As {@linkcode readAllocation}; throws `corrupt` for any fault, because writing could damage more data. */
export function requireValidAllocation(
  image: VdiImage,
  checkpoint: () => Promise<void>,
  entries?: number,
): Promise<Allocation> {
  const { storage: { label }, map } = image;
  const refuse = (index: number, fileBlock: number, fault: AllocationFault) => {
    const found = {
      outside: `there are only ${map.entries}`,
      shared: "another block lies there",
      lost: "that is past the end of the file",
    }[fault];
    throw corrupt(
      `Cannot write into "${label}": block ${index} lies in file block ${fileBlock}, and ${found}; ` +
        `"check -r all" repairs what can be repaired`,
      label,
    );
  };
  return readAllocation(image, checkpoint, refuse, entries);
}

/** Returns whether a file block is in use. */
export function isUsed(used: Uint8Array, fileBlock: number): boolean {
  return (used[fileBlock >> 3]! & (1 << (fileBlock & 7))) !== 0;
}

/** Marks a file block as used. */
export function markUsed(used: Uint8Array, fileBlock: number): void {
  used[fileBlock >> 3]! |= 1 << (fileBlock & 7);
}

/**
 * Returns a function that allocates the free file blocks from `first` on, lowest first: other programs expect no gaps.
 */
export function fileBlockAllocator(used: Uint8Array, first = 0): () => number {
  let fileBlock = first;
  return () => {
    while (isUsed(used, fileBlock)) fileBlock++;
    markUsed(used, fileBlock);
    return fileBlock;
  };
}
