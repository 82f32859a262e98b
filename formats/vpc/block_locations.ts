/**
 * Where the blocks of an image lie in the file, all together.
 *
 * @module
 */
import { FREE } from "../shared/block_table.ts";
import { SECTOR } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { CheckContext } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { blockOffset, type Blocks } from "./structures.ts";

/** A table of more blocks is not looked through: its places are held in memory. 2040 GiB have 1,044,480 blocks. */
const MAX_BLOCKS = 1 << 24;

/** Places of blocks, as sectors of the file at which their sector bitmaps begin. */
export interface Extents {
  /** In rising order, the same one maybe several times. */
  readonly starts: Uint32Array;
  /**
   * Those that begin before the block in front of them ends, in rising order, as often as they do; and whether one block
   * more lies there rightly.
   */
  readonly clashes: readonly { readonly start: number; readonly oneStays: boolean }[];
  /** File offset where the last block ends; 0 without blocks. */
  readonly end: number;
}

/**
 * Looks at the place of every block.
 *
 * @param wrong told of a block that does not lie within the file, past the structures; absent: that is thrown
 * @throws ImageError `corrupt`; `unsupported` for too many blocks
 */
export async function extentsOf(
  blocks: Blocks,
  checkpoint: CheckContext["checkpoint"],
  wrong?: (index: number, error: ImageError) => void,
): Promise<Extents> {
  const { table, header, bitmapBytes, storage } = blocks;
  refuseManyBlocks(storage, table.entries);
  const found = new Uint32Array(table.entries);
  let count = 0;
  for (let index = 0; index < table.entries;) {
    const page = await table.load(index);
    for (; index < page.end; index++) {
      if (page.entry(index) === FREE) continue;
      try {
        found[count] = blockOffset(blocks, page, index)! / SECTOR;
        count++;
      } catch (error) {
        if (wrong === undefined || !(error instanceof ImageError)) throw error;
        wrong(index, error);
      }
    }
    await checkpoint(index / table.entries);
  }
  const starts = found.subarray(0, count).sort();
  const sectors = (bitmapBytes + header.blockSize) / SECTOR;
  const clashes: { start: number; oneStays: boolean }[] = [];
  let [last, end] = [-1, 0];
  for (const start of starts) {
    if (start < end) clashes.push({ start, oneStays: start === last });
    else [last, end] = [start, start + sectors];
  }
  return { starts, clashes, end: starts.length === 0 ? 0 : (starts[starts.length - 1]! + sectors) * SECTOR };
}

/** Throws `unsupported` for more blocks than are looked through. */
export function refuseManyBlocks({ label }: Storage, blocks: number): void {
  if (blocks <= MAX_BLOCKS) return;
  const message = `Cannot look through "${label}": it has ${blocks} blocks, and ${MAX_BLOCKS} is the most`;
  throw new ImageError("unsupported", message, { path: label });
}

/** File offset where the last block ends. Blocks that lie over one another are found out: writing would spoil both. */
export async function endOfBlocks(blocks: Blocks, checkpoint: () => Promise<void>): Promise<number> {
  const { clashes, end } = await extentsOf(blocks, checkpoint);
  const [clash] = clashes;
  if (!clash) return end;
  const { label } = blocks.storage;
  const start = clash.start * SECTOR;
  throw corrupt(
    `Cannot write into "${label}": two blocks overlap at ${start}; "check -r all" gives each a place`,
    label,
    start,
  );
}
