/**
 * The end of the used part of the file.
 *
 * @module
 */
import { openBlockTable } from "../shared/block_table.ts";
import { alignUp, ceilDiv, SECTOR } from "../bytes.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { HEADER_BYTES } from "./dynamic_header.ts";
import { readBlockLocations } from "./block_locations.ts";
import type { VpcImage } from "./structures.ts";
import { decodeLocators } from "./parent_locator.ts";
import { batmapRanges, readBatmap } from "./batmap.ts";
import { truncateTo } from "./footer_copies.ts";

/**
 * Returns the file offset behind all that a reader may use, in whole sectors; that includes readers that use the
 * current size of the disk where this program uses the geometry.
 */
export async function usedEnd(storage: Storage, image: VpcImage, checkpoint: () => Promise<void>): Promise<number> {
  const size = Math.max(image.size, image.footer.currentSize);
  if (image.blocks === null) return alignUp(size, SECTOR);
  const { header, headerOffset } = image.blocks;
  const entries = Math.min(ceilDiv(size, header.blockSize), header.tableEntries);
  const bat = openBlockTable(storage, { fileOffset: header.tableOffset, entries, littleEndian: false });
  let isWhole = true;
  const { end } = await readBlockLocations({ ...image.blocks, size, bat }, checkpoint, (_index, { offset }) => {
    isWhole &&= offset !== undefined && offset >= image.endOffset;
  });
  // A block with an invalid BAT entry may lie anywhere in the file.
  if (!isWhole) return alignUp(storage.size, SECTOR);
  // The length of an unknown structure is unknown, too.
  if (header.nextOffset !== null && header.nextOffset < image.endOffset) return alignUp(image.endOffset, SECTOR);
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, headerOffset);
  const names = decodeLocators(bytes).filter(({ length }) => length > 0).map((one) => one.fileOffset + one.length);
  const tableEnd = header.tableOffset + header.tableEntries * 4;
  const batmap = batmapRanges(image.blocks, await readBatmap(storage, image)).map((range) => range.end);
  return alignUp(Math.max(end, headerOffset + HEADER_BYTES, tableEnd, ...names, ...batmap), SECTOR);
}

/** Truncates the file behind its used part. The footer at its end must be valid. */
export async function truncateUnused(
  storage: WritableStorage,
  image: VpcImage,
  checkpoint: () => Promise<void>,
): Promise<void> {
  await truncateTo(storage, image.bytes, image.endOffset, await usedEnd(storage, image, checkpoint));
}
