/**
 * The end of the file: what is behind everything that is in use.
 *
 * @module
 */
import { openBlockTable } from "../block_table.ts";
import { alignUp, SECTOR, unitsOf } from "../bytes.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { Storage } from "../storage/types.ts";
import { HEADER_BYTES } from "./dynamic_header.ts";
import { extentsOf } from "./extents.ts";
import { readImage, type VpcImage } from "./image.ts";
import { decodeLocators } from "./parent.ts";
import { cutTo } from "./resize_fixed.ts";

/**
 * File offset behind everything that any reader looks at: those that go by the current size where this one goes by the
 * geometry, too. Whole sectors.
 */
export async function endOfUse(storage: Storage, image: VpcImage, pause: () => Promise<void>): Promise<number> {
  const size = Math.max(image.size, image.footer.currentSize);
  if (image.blocks === null) return alignUp(size, SECTOR);
  const { header, headerOffset } = image.blocks;
  const entries = Math.min(unitsOf(size, header.blockSize), header.tableEntries);
  const table = openBlockTable(storage, { fileOffset: header.tableOffset, entries, littleEndian: false });
  const { end } = await extentsOf({ ...image.blocks, size, table }, pause, () => {});
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, headerOffset);
  const names = decodeLocators(bytes).filter(({ length }) => length > 0).map((one) => one.fileOffset + one.length);
  const tableEnd = header.tableOffset + header.tableEntries * 4;
  return alignUp(Math.max(end, headerOffset + HEADER_BYTES, tableEnd, ...names), SECTOR);
}

/** Ends the file behind what is in use. The footer at its end must be sound. */
export async function giveBack(storage: WritableStorage, pause: () => Promise<void>): Promise<void> {
  const image = await readImage(storage);
  await cutTo(storage, image.bytes, image.endOffset, await endOfUse(storage, image, pause));
}
