/**
 * Reads the locations of all blocks, and finds blocks that overlap.
 *
 * @module
 */
import { FREE } from "../shared/block_table.ts";
import { SECTOR } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { CheckContext } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import type { FileRange } from "./batmap.ts";
import { blockOffset, type Blocks } from "./structures.ts";

/** Most entries of a BAT that is read as a whole, since all locations are in memory. 2040 GiB have 1,044,480 blocks. */
const MAX_BLOCKS = 1 << 24;

/** Locations of blocks: the sectors of the file at which their sector bitmaps begin. */
export interface BlockLocations {
  /** In ascending order; a location that several BAT entries name is there as often. */
  readonly starts: Uint32Array;
  /**
   * Blocks that begin before the previous block ends, in ascending order, once for each BAT entry. `keepsOne`: one more
   * block has the same location and overlaps no previous block.
   */
  readonly overlaps: readonly { readonly start: number; readonly keepsOne: boolean }[];
  /** File offset where the last block ends; 0 without blocks. */
  readonly end: number;
  /** Number of blocks outside the file, or over a structure. */
  readonly faults: number;
}

/**
 * Reads the location of every block.
 *
 * @param wrong called for a block outside the file, or over a structure; without it the error is thrown
 * @throws ImageError `corrupt`; `unsupported` for too many blocks
 */
export async function readBlockLocations(
  blocks: Blocks,
  checkpoint: CheckContext["checkpoint"],
  wrong?: (index: number, error: ImageError) => void,
): Promise<BlockLocations> {
  const { bat, header, bitmapBytes, storage } = blocks;
  refuseManyBlocks(storage, bat.entries);
  const starts = new Uint32Array(bat.entries);
  let [count, faults] = [0, 0];
  for (let index = 0; index < bat.entries;) {
    const page = await bat.load(index);
    for (; index < page.end; index++) {
      if (page.entry(index) === FREE) continue;
      try {
        starts[count] = blockOffset(blocks, page, index)! / SECTOR;
        count++;
      } catch (error) {
        if (wrong === undefined || !(error instanceof ImageError)) throw error;
        faults++;
        wrong(index, error);
      }
    }
    await checkpoint(index / bat.entries);
  }
  const sorted = starts.subarray(0, count).sort();
  const sectors = (bitmapBytes + header.blockSize) / SECTOR;
  const overlaps: { start: number; keepsOne: boolean }[] = [];
  let [last, end] = [-1, 0];
  for (const start of sorted) {
    if (start < end) overlaps.push({ start, keepsOne: start === last });
    else [last, end] = [start, start + sectors];
  }
  return { starts: sorted, overlaps, end: count === 0 ? 0 : (sorted[count - 1]! + sectors) * SECTOR, faults };
}

/** Returns the file offset of a block that overlaps one of `ranges`; `null` without one. */
export function blockIn(
  { bitmapBytes, header: { blockSize } }: Blocks,
  { starts }: BlockLocations,
  ranges: readonly FileRange[],
): number | null {
  if (ranges.length === 0) return null;
  for (const sector of starts) {
    const start = sector * SECTOR;
    const end = start + bitmapBytes + blockSize;
    if (ranges.some((range) => start < range.end && range.start < end)) return start;
  }
  return null;
}

/** Throws `unsupported` for more blocks than are read at once. */
export function refuseManyBlocks({ label }: Storage, blocks: number): void {
  if (blocks <= MAX_BLOCKS) return;
  const message = `Cannot read all blocks of "${label}": it has ${blocks}, and the limit is ${MAX_BLOCKS}`;
  throw new ImageError("unsupported", message, { path: label });
}

/**
 * Returns the file offset where the last block ends; 0 without blocks.
 *
 * @param batmap ranges of the file that the batmap takes
 * @throws ImageError `corrupt` for blocks that overlap one another or the batmap, because a write to one would change the
 *   other
 */
export async function lastBlockEnd(
  blocks: Blocks,
  batmap: readonly FileRange[],
  checkpoint: () => Promise<void>,
): Promise<number> {
  const locations = await readBlockLocations(blocks, checkpoint);
  const { overlaps, end } = locations;
  const overBatmap = blockIn(blocks, locations, batmap);
  if (overBatmap !== null) {
    throw corrupt(
      `Cannot write into "${blocks.storage.label}": the block at ${overBatmap} overlaps the batmap; ` +
        `"check -r all" separates them`,
      blocks.storage.label,
      overBatmap,
    );
  }
  const [overlapping] = overlaps;
  if (!overlapping) return end;
  const { label } = blocks.storage;
  const start = overlapping.start * SECTOR;
  throw corrupt(
    `Cannot write into "${label}": two blocks overlap at ${start}; "check -r all" separates them`,
    label,
    start,
  );
}
