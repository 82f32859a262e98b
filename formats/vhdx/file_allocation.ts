/**
 * The allocation of the file: space of blocks and sector bitmaps.
 *
 * @module
 */
import { alignDown, MIB } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import { type Bat, bitmapOffset, blockIn, PAGE_ENTRIES, pageOffsetOf } from "./bat.ts";
import { payloadIndex } from "./bat_layout.ts";

/**
 * Returns the file offset after the last byte in use. Also checks every entry of the BAT, and that no blocks overlap.
 *
 * @throws ImageError `corrupt`
 */
export async function usedEnd(bat: Bat, checkpoint: () => Promise<void> = () => Promise.resolve()): Promise<number> {
  const { geometry, label } = bat;
  const taken = new Map<number, number>();
  let end = Math.max(...bat.areas.map((area) => area.end));
  const step = geometry.blockSize / MIB;
  const mark = (first: number, count: number, block: number) => {
    // Offsets are whole MiB; one number holds the bits of 32 MiB.
    for (let at = first; at < first + count; at++) {
      const key = Math.floor(at / 32);
      const bits = taken.get(key) ?? 0;
      const bit = 1 << at % 32;
      if (bits & bit) {
        throw corrupt(`Cannot change "${label}": block ${block} has the location of another`, label, at * MIB);
      }
      taken.set(key, bits | bit);
    }
    end = Math.max(end, (first + count) * MIB);
  };
  for (let block = 0; block < geometry.blocks;) {
    const first = payloadIndex(geometry, block);
    const pageEnd = alignDown(first, PAGE_ENTRIES) + PAGE_ENTRIES;
    await checkpoint();
    await bat.pages.look(pageOffsetOf(bat, first), ({ view }) => {
      for (; block < geometry.blocks && payloadIndex(geometry, block) < pageEnd; block++) {
        const { fileOffset } = blockIn(bat, view, block);
        if (fileOffset !== 0) mark(fileOffset / MIB, step, block);
      }
    });
  }
  for (let block = 0; bat.differencing && block < geometry.blocks; block += geometry.chunkRatio) {
    const bitmapAt = await bitmapOffset(bat, block);
    if (bitmapAt !== 0) mark(bitmapAt / MIB, 1, block);
  }
  return end;
}
