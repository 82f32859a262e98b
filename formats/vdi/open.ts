/**
 * Opens an image for reading.
 *
 * @module
 */
import { type BlockPage, type BlockTable, FREE, openBlockTable } from "../shared/block_table.ts";
import { SECTOR } from "../bytes.ts";
import type { Disk, FormatInfo } from "../contract.ts";
import type { NamedFile } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { locatedExtent } from "../shared/located_extent.ts";
import { readData } from "../shared/truncated_file.ts";
import { dataExtent, type Extent, holeExtent, zeroExtent } from "../extent.ts";
import type { Storage } from "../storage/types.ts";
import { isNilUuid, uuidText } from "../shared/uuid.ts";
import { dataOffsetOf, isAllocated } from "./block_map.ts";
import { decodeHeader, type Header, HEADER_BYTES } from "./header.ts";

/** The structures of an image. */
export interface VdiImage {
  readonly storage: Storage;
  readonly header: Header;
  readonly map: BlockTable;
  readonly backing: NamedFile | null;
}

/**
 * Opens a dynamic, static or differencing image for reading.
 *
 * @throws ImageError `corrupt`, `unsupported`
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { openVdi } from "./open.ts";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(openVdi(new MemoryStorage(new Uint8Array(1000))), { kind: "corrupt" });
 * ```
 */
export async function openVdi(storage: Storage): Promise<Disk> {
  const image = await readImage(storage);
  const { header, backing } = image;
  return {
    format: "vdi",
    size: header.size,
    clusterSize: header.blockSize,
    logicalSectorSize: SECTOR,
    backing,
    id: uuidText(header.uuid, "mixed"),
    info: infoOf(header),
    extentAt: (start, limit) => blockExtentAt(image, start, limit),
    read: (into, start) => readBlocks(image, into, start),
  };
}

/** Reads and checks the header. */
export async function readImage(storage: Storage): Promise<VdiImage> {
  const bytes = new Uint8Array(Math.min(HEADER_BYTES, storage.size));
  await storage.readAt(bytes, 0);
  const header = decodeHeader(bytes, storage.label);
  const location = { fileOffset: header.mapOffset, entries: header.blocks, littleEndian: true };
  return { storage, header, map: openBlockTable(storage, location), backing: backingOf(header, storage.label) };
}

/** Returns the parent, which an image identifies by its UUID alone. */
function backingOf({ type, parentUuid }: Header, label: string): NamedFile | null {
  if (!isNilUuid(parentUuid)) return { name: "", format: "vdi", id: uuidText(parentUuid, "mixed") };
  if (type === "dynamic" || type === "static") return null;
  throw corrupt(`Cannot open "${label}": it is a differencing VDI image, and names no parent`, label);
}

function infoOf(header: Header): FormatInfo {
  const parent = isNilUuid(header.parentUuid) ? null : uuidText(header.parentUuid, "mixed");
  return {
    "subformat": header.type,
    ...(header.comment !== "" && { "comment": header.comment }),
    "uuid": uuidText(header.uuid, "mixed"),
    "modified-uuid": uuidText(header.modifiedUuid, "mixed"),
    ...(parent !== null && {
      "parent-uuid": parent,
      "parent-modified-uuid": uuidText(header.parentModifiedUuid, "mixed"),
    }),
    "block-size": header.blockSize,
    "blocks": header.blocks,
    "allocated-blocks": header.allocated,
  };
}

function blockExtentAt(image: VdiImage, start: number, limit: number): MaybePromise<Extent> {
  const first = Math.floor(start / image.header.blockSize);
  return andThen(image.map.load(first), (page) => extentIn(image, page, start, limit));
}

/** Returns the extent at `start`, by the entries of `page`, which holds the entry of the block of `start`. */
function extentIn(image: VdiImage, page: BlockPage, start: number, limit: number): MaybePromise<Extent> {
  const { blockSize } = image.header;
  const first = Math.floor(start / blockSize);
  const last = Math.min(page.end, Math.ceil(limit / blockSize));
  const entry = page.entry(first);
  let index = first + 1;
  if (!isAllocated(entry)) {
    while (index < last && page.entry(index) === entry) index++;
    const end = Math.min(index * blockSize, limit);
    return entry === FREE ? holeExtent(start, end) : zeroExtent(start, end);
  }
  const end = contiguousEnd(image.header, page, start, limit);
  const offset = dataOffsetOf(image.header, page.entry(first)) + start - first * blockSize;
  // A static image has all blocks from creation on: those never written may be holes of the file.
  if (image.header.type === "static") return locatedExtent(image.storage, start, end, offset);
  return dataExtent(start, end, { storage: image.storage, offset });
}

/** Returns the end of the guest bytes from `start` on that are contiguous in the file. */
function contiguousEnd(header: Header, page: BlockPage, start: number, limit: number): number {
  const { blockSize, extraBytes } = header;
  const first = Math.floor(start / blockSize);
  let index = first + 1;
  if (extraBytes === 0) {
    const offset = page.entry(first) - first;
    const follows = () => isAllocated(page.entry(index)) && page.entry(index) - index === offset;
    while (index < page.end && index * blockSize < limit && follows()) index++;
  }
  return Math.min(index * blockSize, limit);
}

async function readBlocks(image: VdiImage, into: Uint8Array, start: number): Promise<void> {
  const { storage, header, map } = image;
  const end = start + into.length;
  for (let at = start; at < end;) {
    const index = Math.floor(at / header.blockSize);
    const page = await map.load(index);
    const partEnd = contiguousEnd(header, page, at, end);
    const part = into.subarray(at - start, partEnd - start);
    if (!isAllocated(page.entry(index))) part.fill(0);
    else {
      const fileOffset = dataOffsetOf(header, page.entry(index)) + at - index * header.blockSize;
      await readData(storage, part, fileOffset, `block ${index}`);
    }
    at = partEnd;
  }
}
