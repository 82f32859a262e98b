/**
 * Creates new images.
 *
 * @module
 */
import { newBlockTable } from "../shared/block_table.ts";
import { alignUp, ceilDiv, SECTOR } from "../bytes.ts";
import type { CreatePlan, DiskWriter } from "../contract.ts";
import { uninitialisedBlocks, writeZeroes } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { randomUuid } from "../shared/uuid.ts";
import { batmapBitsBytes, newBatmap, writeBatmap, XEN_CREATOR, XEN_CREATOR_VERSION } from "./batmap.ts";
import { bitmapBytesOf, encodeDynamicHeader, HEADER_BYTES } from "./dynamic_header.ts";
import { DYNAMIC, encodeFooter, EPOCH, FIXED, FOOTER_BYTES } from "./footer.ts";
import { exactGeometry, LARGEST } from "./geometry.ts";
import { checkPlan, type CreateSettings, CREATOR, settingsOf } from "./options.ts";
import { type BlockTarget, blockWriter, fixedWriter } from "./writer.ts";

/** Guest bytes of a block: the default of the specification, and the only size that some readers accept. */
const BLOCK_SIZE = 2 << 20;

const HEADER_OFFSET = FOOTER_BYTES;
const BAT_OFFSET = HEADER_OFFSET + HEADER_BYTES;

/**
 * Creates an image in empty storage, which is never read. `finish` writes the structures.
 *
 * @throws ImageError `usage` for an impossible plan
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { createVpc } from "./create.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage();
 * const plan = { size: 1 << 20, options: { subformat: "fixed" }, backing: null, compress: false };
 * const writer = await createVpc(storage, plan);
 * await writer.finish();
 * assert.equal(storage.size, (1 << 20) + 512);
 * ```
 */
// deno-lint-ignore require-await
export async function createVpc(storage: WritableStorage, plan: CreatePlan): Promise<DiskWriter> {
  checkPlan(plan);
  const settings = settingsOf(plan);
  const footer = footerFor(settings);
  if (!settings.isFixed) return createDynamic(storage, settings, footer);
  const { size, isSparse } = settings;
  return fixedWriter({ storage, size, isSparse, finish: () => storage.writeAt(footer, size) });
}

function footerFor({ size, isFixed, forceSize, isXen }: CreateSettings): Uint8Array {
  return encodeFooter({
    headerOffset: isFixed ? null : HEADER_OFFSET,
    timeStamp: Math.floor(Date.now() / 1000) - EPOCH,
    creator: isXen ? XEN_CREATOR : CREATOR,
    creatorVersion: isXen ? XEN_CREATOR_VERSION : 1 << 16,
    originalSize: size,
    currentSize: size,
    geometry: forceSize ? LARGEST : exactGeometry(size / SECTOR),
    type: isFixed ? FIXED : DYNAMIC,
    uuid: randomUuid("big"),
  });
}

function createDynamic(
  storage: WritableStorage,
  { size, isSparse, isXen }: CreateSettings,
  footer: Uint8Array,
): DiskWriter {
  const entries = ceilDiv(size, BLOCK_SIZE);
  const batBytes = alignUp(entries * 4, SECTOR);
  const batmapBytes = isXen ? SECTOR + batmapBitsBytes(entries) : 0;
  const location = { fileOffset: BAT_OFFSET, entries, littleEndian: false };
  const fill = !isSparse
    ? (start: number, end: number) => writeZeroes(storage, start, end)
    : storage.startsZeroed
    ? null
    : (start: number, end: number) => storage.zeroAt(start, end);
  const target: BlockTarget = {
    storage,
    size,
    blockSize: BLOCK_SIZE,
    bitmapBytes: bitmapBytesOf(BLOCK_SIZE),
    bat: newBlockTable(storage, location, batBytes),
    uninitialised: uninitialisedBlocks(fill),
    isSparse,
    edited: null,
    end: BAT_OFFSET + batBytes + batmapBytes,
  };
  return blockWriter(target, true, async () => {
    await target.uninitialised.finish();
    await target.bat.flush();
    if (isXen) await writeBatmap(storage, BAT_OFFSET + batBytes, await newBatmap(target.bat, BAT_OFFSET));
    const header = { tableOffset: BAT_OFFSET, tableEntries: entries, blockSize: BLOCK_SIZE };
    await storage.writeAt(encodeDynamicHeader(header), HEADER_OFFSET);
    await storage.writeAt(footer, target.end);
    await storage.writeAt(footer, 0);
  });
}
