/**
 * The end of the used part of the file.
 *
 * @module
 */
import { openBlockTable } from "../shared/block_table.ts";
import { alignUp, ceilDiv, SECTOR } from "../bytes.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { HEADER_BYTES } from "./dynamic_header.ts";
import { extentsOf } from "./block_locations.ts";
import type { VpcImage } from "./structures.ts";
import { decodeLocators } from "./parent_locator.ts";
import { cutTo } from "./footer_copies.ts";

/**
 * Returns the file offset behind everything that a reader may use, in whole sectors: also a reader that takes the size of
 * the disk from the current size where this program takes it from the geometry.
 */
export async function endOfUse(storage: Storage, image: VpcImage, checkpoint: () => Promise<void>): Promise<number> {
  const size = Math.max(image.size, image.footer.currentSize);
  if (image.blocks === null) return alignUp(size, SECTOR);
  const { header, headerOffset } = image.blocks;
  const entries = Math.min(ceilDiv(size, header.blockSize), header.tableEntries);
  const table = openBlockTable(storage, { fileOffset: header.tableOffset, entries, littleEndian: false });
  let isWhole = true;
  const { end } = await extentsOf({ ...image.blocks, size, table }, checkpoint, (_index, { offset }) => {
    isWhole &&= offset !== undefined && offset >= image.endOffset;
  });
  // A part of a block with a wrong entry may lie anywhere.
  if (!isWhole) return alignUp(storage.size, SECTOR);
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, headerOffset);
  const names = decodeLocators(bytes).filter(({ length }) => length > 0).map((one) => one.fileOffset + one.length);
  const tableEnd = header.tableOffset + header.tableEntries * 4;
  return alignUp(Math.max(end, headerOffset + HEADER_BYTES, tableEnd, ...names), SECTOR);
}

/** Truncates the file behind its used part. The footer at its end must be valid. */
export async function truncateUnused(
  storage: WritableStorage,
  image: VpcImage,
  checkpoint: () => Promise<void>,
): Promise<void> {
  await cutTo(storage, image.bytes, image.endOffset, await endOfUse(storage, image, checkpoint));
}
