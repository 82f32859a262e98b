/**
 * Repair of a file that is cut off: blocks that its end cuts off are completed with zeroes, blocks past its end become zero.
 *
 * @module
 */
import type { CheckContext } from "../maintenance.ts";
import { hasNoHoles } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { type Bat, blockAt, setEntry, STATE } from "./bat.ts";
import { bytesOfBlock, payloadIndex } from "./bat_layout.ts";
import { headersOf, SECTOR_4K } from "./header.ts";
import { loggedStorage } from "./log_write.ts";
import { readImage } from "./structures.ts";

/** The blocks of which the file lacks bytes. */
interface TruncatedBlocks {
  /** Blocks of which the file has nothing. */
  readonly lost: readonly number[];
  /** File offset at which the last block ends of which the file has a part; 0 without one. */
  readonly end: number;
}

/**
 * Completes the blocks of which the file lacks bytes. Leaves a differencing image in which blocks are lost as it is, because
 * zeroes would hide what its parent has there; and a fixed one, whose blocks are all allocated.
 */
export async function repairTruncated(storage: WritableStorage, context: CheckContext): Promise<void> {
  const image = await readImage(storage);
  const bat: Bat = { ...image.bat, mayBeTruncated: true };
  const { lost, end } = await truncatedBlocks(bat, storage.size, context);
  if (lost.length > 0 && (bat.differencing || image.metadata.leavesAllocated)) return;
  if (end === 0 && lost.length === 0) return;
  const headers = headersOf(storage, image.header);
  const logged = loggedStorage(storage, headers);
  await headers.updateBoth({ fileWriteGuid: crypto.randomUUID(), dataWriteGuid: crypto.randomUUID() });
  if (end > storage.size) {
    await (await hasNoHoles(storage) ? storage.reserve(storage.size, end, true) : storage.truncate(end));
  }
  const entry = new Uint8Array(8);
  setEntry(new DataView(entry.buffer), 0, STATE.zero, 0);
  let sectors = new Set<number>();
  for (const block of lost) {
    const index = payloadIndex(bat.geometry, block);
    const at = bat.region.start + index * 8;
    const sector = Math.floor(at / SECTOR_4K);
    if (!sectors.has(sector) && sectors.size === logged.capacity) {
      await logged.commit();
      sectors = new Set();
    }
    sectors.add(sector);
    await logged.writeAt(entry, at);
    await context.checkpoint();
  }
  await logged.commit();
  await storage.sync();
}

async function truncatedBlocks(
  bat: Bat,
  size: number,
  { checkpoint }: CheckContext,
): Promise<TruncatedBlocks> {
  const lost: number[] = [];
  let end = 0;
  for (let block = 0; block < bat.geometry.blocks; block++) {
    const { fileOffset } = await blockAt(bat, block);
    if (fileOffset >= size) lost.push(block);
    else if (fileOffset !== 0 && fileOffset + bytesOfBlock(bat.geometry, block) > size) {
      end = Math.max(end, fileOffset + bat.geometry.blockSize);
    }
    if (block % 1024 === 0) await checkpoint();
  }
  return { lost, end };
}
