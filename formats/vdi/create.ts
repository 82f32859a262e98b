/**
 * Creation of images.
 *
 * @module
 */
import { newBlockTable } from "../shared/block_table.ts";
import { alignUp, ceilDiv, SECTOR } from "../bytes.ts";
import type { CreatePlan, DiskWriter } from "../contract.ts";
import { uninitialisedBlocks } from "../shared/uninitialised_blocks.ts";
import type { WritableStorage } from "../storage/types.ts";
import { randomUuid, UUID_BYTES } from "../shared/uuid.ts";
import { writeEntries } from "./block_map.ts";
import { encodeHeader, type Header, HEADER_BYTES } from "./header.ts";
import { checkPlan } from "./options.ts";
import { blockWriter, traitsOf } from "./writer.ts";

/** Guest bytes of a block: the size that VirtualBox writes, and the only one that QEMU reads. */
const BLOCK_SIZE = 1 << 20;

/**
 * Starts a new image in empty storage, with a new UUID. Nothing is read back. `finish` writes header and map.
 *
 * @throws ImageError `usage` for an invalid plan
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { createVdi } from "./create.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage();
 * const plan = { size: 10 << 20, options: {}, backing: null, compress: false };
 * const writer = await createVdi(storage, plan);
 * await writer.write(new Uint8Array([7]), 12345);
 * await writer.finish();
 * assert.equal(storage.size, 1024 + (1 << 20)); // header, map, one block
 * ```
 */
// deno-lint-ignore require-await
export async function createVdi(storage: WritableStorage, plan: CreatePlan): Promise<DiskWriter> {
  checkPlan(plan);
  const header = newHeader(alignUp(plan.size, SECTOR), plan.options.static === true);
  return header.type === "static" ? createStatic(storage, header) : createDynamic(storage, header);
}

function newHeader(size: number, isStatic: boolean): Header {
  const blocks = ceilDiv(size, BLOCK_SIZE);
  return {
    type: isStatic ? "static" : "dynamic",
    comment: "",
    mapOffset: HEADER_BYTES,
    // Blocks follow the map without a gap, as in the files of qemu-img.
    dataOffset: HEADER_BYTES + alignUp(blocks * 4, SECTOR),
    size,
    blockSize: BLOCK_SIZE,
    extraBytes: 0,
    blocks,
    allocated: isStatic ? blocks : 0,
    uuid: randomUuid("mixed"),
    modifiedUuid: randomUuid("mixed"),
    parentUuid: new Uint8Array(UUID_BYTES),
    parentModifiedUuid: new Uint8Array(UUID_BYTES),
  };
}

function createDynamic(storage: WritableStorage, header: Header): DiskWriter {
  const { mapOffset, dataOffset, blockSize, blocks } = header;
  const location = { fileOffset: mapOffset, entries: blocks, littleEndian: true };
  let allocated = 0;
  const target = {
    storage,
    header,
    map: newBlockTable(storage, location, alignUp(blocks * 4, SECTOR), 0),
    uninitialised: uninitialisedBlocks(storage.startsZeroed ? null : (start, end) => storage.zeroAt(start, end)),
    parent: null,
    nextEntry: () => allocated++,
  };
  return blockWriter(target, true, async () => {
    await target.uninitialised.finish();
    await target.map.flush();
    await finishNew(storage, { ...header, allocated }, dataOffset + allocated * blockSize);
  });
}

/** Creates a static image: all blocks are in order, so that guest and file offsets differ by a constant. */
function createStatic(storage: WritableStorage, header: Header): DiskWriter {
  const { size, dataOffset, blockSize, blocks } = header;
  return {
    traits: traitsOf(header, {
      startsZeroed: storage.startsZeroed,
      zeroes: storage.zeroesCheaply ? "cheap" : "written",
    }),
    write: (from, start) => storage.writeAt(from, dataOffset + start),
    locationFor: (start) => ({ storage, offset: dataOffset + start, end: size }),
    zero: (start, end) => storage.zeroAt(dataOffset + start, dataOffset + end),
    async finish() {
      const entriesOf = (first: number, end: number) =>
        Uint32Array.from({ length: end - first }, (_, at) => first + at);
      await writeEntries(storage, { mapOffset: header.mapOffset, first: 0, end: blocks, entriesOf });
      await finishNew(storage, header, dataOffset + blocks * blockSize);
    },
  };
}

async function finishNew(storage: WritableStorage, header: Header, fileSize: number): Promise<void> {
  if (storage.size < fileSize) await storage.truncate(fileSize);
  await storage.writeAt(encodeHeader(header), 0);
}
