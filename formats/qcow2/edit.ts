/**
 * Opening an existing image for writing.
 *
 * @module
 */
import { SECTOR, u64, viewOf } from "../bytes.ts";
import type { DiskWriter, EditContext, WriterTraits } from "../contract.ts";
import { corrupt } from "../errors.ts";
import type { CheckContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { type BitmapEntry, readBitmapDirectory } from "./bitmaps/read.ts";
import { type BitmapTracker, bitmapTracker } from "./bitmaps/track.ts";
import { type AddedBitmaps, addedBitmaps } from "./bitmaps/write.ts";
import { compressionOf } from "./clusters/compress.ts";
import { openData } from "./open.ts";
import { encodeHeader, type Header, NO_BITS, readHeader } from "./header/header.ts";
import { EDIT_LIMITS, type Image, imageOf, type Limits } from "./image.ts";
import { readMetadataRanges } from "./metadata_overlap.ts";
import { readL1 } from "./mapping/mapping.ts";
import { computeRefcounts } from "./refcounts/compute_refcounts.ts";
import { refcountAt, refcountsPerBlock } from "./refcounts/refcount_block.ts";
import { checkSharedClusters } from "./clusters/check_shared.ts";
import { checkMetadataRefcounts, refuseCorrupt } from "./refuse_corrupt.ts";
import { checkCompressible } from "./clusters/write_compressed.ts";
import { tableWriter, writerOf } from "./writer.ts";

/**
 * Opens the image in `storage` for writing. Snapshots keep their contents, and enabled bitmaps record the changes. The
 * file is valid at every moment: a program that ends early leaks clusters at most.
 *
 * @throws ImageError `corrupt` for a corrupt image; `unsupported` for one that must be repaired first, or with features
 * that this program cannot maintain; and the errors of `context`
 *
 * @example
 * ```ts
 * import { createQcow2 } from "./create.ts";
 * import { editQcow2 } from "./edit.ts";
 * import { inlineCompressor as compressor } from "../codec/compress.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const no = () => Promise.reject(new Error("The image names no file"));
 * const storage = new MemoryStorage();
 * const plan = { size: 1 << 20, options: {}, backing: null, compress: false };
 * await (await createQcow2(storage, plan, { createNamed: no, backing: null, compressor })).finish();
 *
 * const writer = await editQcow2(storage, { compress: false, compressor, openNamed: no, openBacking: no });
 * assert.equal(writer.traits.startsZeroed, true);
 * await writer.write(new Uint8Array([1, 2, 3]), 1000);
 * await writer.finish();
 * ```
 */
export async function editQcow2(
  storage: WritableStorage,
  context: EditContext,
  limits: Limits = EDIT_LIMITS,
): Promise<DiskWriter> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  const bitmaps = await readBitmapDirectory(storage, header);
  const image = await openImage(storage, header, bitmaps, context, limits);
  if (context.compress) checkCompressible(image);
  const compress = context.compress ? compressionOf(header.compressionType, context.compressor) : null;
  const tracker = bitmapTracker(image, bitmaps);
  const added = addedBitmaps(image, tracker.entries);
  let started = false;
  async function begin(): Promise<void> {
    if (started) return;
    started = true;
    await beginChanges(image, tracker);
  }
  return writerOf({
    traits: traitsOf(image, context.compress),
    target: tableWriter(image, compress),
    async begin(start, end) {
      await begin();
      tracker.record(start, end);
    },
    ...(header.version === 3 && { bitmaps: () => Promise.resolve(added) }),
    async finish() {
      if (started) await finishChanges(image, tracker, added);
    },
  });
}

/** Counting references names no file, and reports no progress. */
const UNOBSERVED: CheckContext = { checkpoint: () => Promise.resolve(), openNamed: () => Promise.reject() };

async function openImage(
  storage: WritableStorage,
  header: Header,
  bitmaps: readonly BitmapEntry[],
  context: EditContext,
  limits: Limits,
): Promise<Image> {
  const data = await openData(header, storage, context);
  const l1 = await readL1(storage, header.l1);
  const refcountTable = await readRefcountTable(storage, header);
  // Another program may have reused the clusters of inconsistent bitmaps.
  const trusted = header.bitmapsConsistent ? bitmaps : [];
  const metadata = await readMetadataRanges({ storage, header, l1, refcountTable, bitmaps: trusted });
  const backing = header.backing === null ? null : await context.openBacking(header.backing);
  const image = imageOf({
    header,
    storage,
    data,
    l1,
    refcountTable,
    // A table whose refcount is 0 must not count as free space at the end of the file.
    end: Math.max(metadata.end, await usedEnd(storage, header, refcountTable)),
    metadata,
    references: (await computeRefcounts(storage, header, UNOBSERVED)).refcounts,
    isNew: false,
    keepsAllocations: false,
    limits,
    openBacking: () => Promise.resolve(backing),
  });
  // A refcount block with the refcount 0 is detected when it would be allocated.
  await checkMetadataRefcounts(storage, header, [], (cluster) => image.allocator.refcount(cluster));
  await checkSharedClusters(image, limits.l2Bytes);
  return image;
}

async function readRefcountTable(storage: WritableStorage, header: Header): Promise<Float64Array> {
  const { fileOffset, clusters } = header.refcountTable;
  const bytes = new Uint8Array(clusters * header.clusterSize);
  await storage.readAt(bytes, fileOffset);
  const view = viewOf(bytes);
  const table = new Float64Array(bytes.length / 8);
  for (let index = 0; index < table.length; index++) {
    const block = u64(view, index * 8);
    if (block % header.clusterSize !== 0 || block + header.clusterSize > storage.size) {
      throw corrupt(
        `Cannot read refcount block ${index} of "${storage.label}": it begins at byte ${block}, must be at a cluster ` +
          `of the file (${storage.size} bytes)`,
        storage.label,
        fileOffset + index * 8,
      );
    }
    table[index] = block;
  }
  return table;
}

/**
 * Returns the cluster after the last one of the file with a refcount above 0. Refcounts of clusters past the end of the
 * file are ignored: a single damaged entry of the refcount table can count clusters petabytes away.
 */
async function usedEnd(storage: WritableStorage, header: Header, table: Float64Array): Promise<number> {
  const block = new Uint8Array(header.clusterSize);
  const perBlock = refcountsPerBlock(header.clusterSize, header.refcountOrder);
  const inFile = Math.ceil(storage.size / header.clusterSize);
  for (let index = Math.min(table.length, Math.ceil(inFile / perBlock)) - 1; index >= 0; index--) {
    if (table[index] === 0) continue;
    await storage.readAt(block, table[index]!);
    for (let nth = Math.min(perBlock, inFile - index * perBlock) - 1; nth >= 0; nth--) {
      if (refcountAt(block, header.refcountOrder, nth) !== 0) return index * perBlock + nth + 1;
    }
  }
  return 0;
}

function traitsOf({ header, tables, data }: Image, compress: boolean): WriterTraits {
  const empty = header.backing === null && !header.rawExternalData && isZero(tables.l1);
  const written = header.rawExternalData ? !data.zeroesCheaply : header.version === 2 && header.backing !== null;
  return {
    size: header.size,
    clusterSize: header.clusterSize,
    sector: SECTOR,
    compress,
    order: "any",
    startsZeroed: empty,
    zeroes: written ? "written" : "cheap",
  };
}

function isZero(table: DataView): boolean {
  for (let at = 0; at < table.byteLength; at += 4) if (table.getUint32(at) !== 0) return false;
  return true;
}

/** Writes the header and bitmap flags that other programs must see before the first byte changes. */
async function beginChanges(image: Image, tracker: BitmapTracker): Promise<void> {
  const { high, low } = image.header.unknownAutoclear;
  if (high !== 0 || low !== 0) {
    // The structures of these features would become stale.
    image.header = { ...image.header, unknownAutoclear: NO_BITS };
    await image.storage.writeAt(encodeHeader(image.header), 0);
  }
  await tracker.begin();
  await image.storage.sync();
}

/** Writes all metadata, in an order in which the file is valid at every moment. */
async function finishChanges(image: Image, tracker: BitmapTracker, added: AddedBitmaps): Promise<void> {
  const { storage } = image;
  await tracker.writeBits();
  const before = image.header;
  const newDirectory = await added.finish();
  const after = image.header;
  // The header names the new directory only after everything that it points at is on stable storage.
  if (newDirectory) image.header = { ...after, bitmaps: before.bitmaps, bitmapsConsistent: before.bitmapsConsistent };
  await image.commit();
  const end = image.allocator.end * image.geometry.clusterSize;
  if (storage.size < end) await storage.truncate(end);
  await storage.sync();
  await tracker.writeTables();
  await storage.sync();
  if (!newDirectory) return await tracker.writeDirectory();
  const { bitmaps, bitmapsConsistent } = after;
  image.header = { ...image.header, bitmaps, bitmapsConsistent };
  await storage.writeAt(encodeHeader(image.header), 0);
  if (before.bitmaps === null || !before.bitmapsConsistent) return;
  const { directoryFileOffset, directorySize } = before.bitmaps;
  await storage.sync();
  for (let done = 0; done < directorySize; done += before.clusterSize) {
    image.release((directoryFileOffset + done) / before.clusterSize);
  }
  await image.commit();
}
