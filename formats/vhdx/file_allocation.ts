/**
 * The places that blocks and bitmaps have in the file.
 *
 * @module
 */
import { alignDown } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import { type Bat, bitmapPlace, blockIn, PAGE_ENTRIES, pageAt } from "./bat.ts";
import { payloadIndex } from "./bat_layout.ts";
import { MIB } from "./limits.ts";

/**
 * Where the last part of the file ends that is in use, in file bytes. Also checks every entry of the BAT, and that no two
 * share a place.
 *
 * @throws ImageError `corrupt`
 */
export async function usedEnd(bat: Bat, checkpoint: () => Promise<void> = () => Promise.resolve()): Promise<number> {
  const { geometry, label } = bat;
  const taken = new Map<number, number>();
  let end = Math.max(...bat.areas.map((area) => area.end));
  const step = geometry.blockSize / MIB;
  const mark = (first: number, count: number, block: number) => {
    // Places are whole MiB. Bits of 32 of them are kept together.
    for (let at = first; at < first + count; at++) {
      const key = Math.floor(at / 32);
      const bits = taken.get(key) ?? 0;
      const bit = 1 << at % 32;
      if (bits & bit) {
        throw corrupt(`Cannot change "${label}": block ${block} shares its place with another`, label, at * MIB);
      }
      taken.set(key, bits | bit);
    }
    end = Math.max(end, (first + count) * MIB);
  };
  for (let block = 0; block < geometry.blocks;) {
    const first = payloadIndex(geometry, block);
    const pageEnd = alignDown(first, PAGE_ENTRIES) + PAGE_ENTRIES;
    await checkpoint();
    await bat.pages.look(pageAt(bat, first), ({ view }) => {
      for (; block < geometry.blocks && payloadIndex(geometry, block) < pageEnd; block++) {
        const { fileOffset } = blockIn(bat, view, block);
        if (fileOffset !== 0) mark(fileOffset / MIB, step, block);
      }
    });
  }
  for (let block = 0; bat.differencing && block < geometry.blocks; block += geometry.chunkRatio) {
    const bitmapAt = await bitmapPlace(bat, block);
    if (bitmapAt !== 0) mark(bitmapAt / MIB, 1, block);
  }
  return end;
}
