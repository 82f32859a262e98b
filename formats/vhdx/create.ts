/**
 * Creation of an image: headers, log, metadata, BAT, then blocks in the order of their first write (dynamic) or in guest
 * order (fixed). Nothing is read back; the structures are written last.
 *
 * @module
 */
import { alignUp, MIB } from "../bytes.ts";
import type { CreatePlan, DiskWriter } from "../contract.ts";
import type { WritableStorage } from "../storage/types.ts";
import { PAGE_BYTES, PAGE_ENTRIES, setEntry, STATE } from "./bat.ts";
import { denseWriter, type FileWriter, sparseWriter } from "./file_writer.ts";
import { blockPartsOf, type Geometry, geometryOf, payloadIndex } from "./bat_layout.ts";
import { NIL_UUID } from "../shared/uuid.ts";
import { encodeHeader, HEADER_SECTION, HEADERS_AT } from "./header.ts";
import { encodeIdentifier } from "./identifier.ts";
import { encodeMetadata, type Metadata, METADATA_BYTES } from "./metadata.ts";
import { type CreateSettings, settingsOf } from "./options.ts";
import { encodeRegions, REGION_TABLES_AT } from "./regions.ts";

/** Bytes of the BAT of an empty disk: QEMU expects 2^20 entries there, and refuses a shorter BAT. */
const EMPTY_BAT = 8 * MIB;

/** File offsets of the parts of a new image. */
interface Layout {
  readonly logAt: number;
  readonly metadataAt: number;
  readonly batAt: number;
  readonly blocksAt: number;
}

/** Starts a new dynamic or fixed image in empty storage. `checkPlan` has accepted the plan. */
export function createVhdx(storage: WritableStorage, plan: CreatePlan): Promise<DiskWriter> {
  const settings = settingsOf(plan);
  const metadata: Metadata = {
    blockSize: settings.blockSize,
    leavesAllocated: settings.fixed,
    size: settings.size,
    logicalSector: settings.logicalSector,
    physicalSector: 4096,
    diskId: crypto.randomUUID(),
    parent: null,
  };
  const geometry = geometryOf(metadata);
  const layout = layoutOf(settings, geometry);
  // A device keeps its old bytes, so that every byte must be written.
  const isSparse = settings.sparse && storage.startsZeroed;
  const file = isSparse ? sparseWriter(storage) : denseWriter(storage);
  const offsets = settings.fixed ? fixedOffsets(layout, geometry) : dynamicOffsets(layout, geometry);
  return Promise.resolve({
    traits: {
      size: settings.size,
      clusterSize: settings.blockSize,
      sector: settings.logicalSector,
      logicalSectorSize: settings.logicalSector,
      compress: false,
      order: "any",
      startsZeroed: true,
      zeroes: settings.fixed && !storage.zeroesCheaply ? "written" : "cheap",
    },
    async write(from, start) {
      for (const { block, within, begin, end } of blockPartsOf(geometry, start, start + from.length)) {
        await file.write(from.subarray(begin - start, end - start), offsets.allocate(block) + within);
      }
    },
    // Without holes, the writer must write everything before a piece first.
    ...(settings.fixed && isSparse && {
      locationFor: (start: number) => ({ storage, offset: layout.blocksAt + start, end: settings.size }),
    }),
    async zero(start, end) {
      for (const piece of blockPartsOf(geometry, start, end)) {
        const offset = offsets.find(piece.block);
        if (offset !== 0) await file.zero(offset + piece.within, offset + piece.within + piece.end - piece.begin);
      }
    },
    async finish() {
      await writeStructures(file, layout, geometry, settings, metadata, offsets);
      await file.finish(offsets.end());
      await writeHeaders(storage, settings, layout);
    },
  });
}

function layoutOf({ logLength }: CreateSettings, geometry: Geometry): Layout {
  const metadataAt = HEADER_SECTION + logLength;
  const batAt = metadataAt + METADATA_BYTES;
  const batLength = geometry.blocks === 0 ? EMPTY_BAT : alignUp(geometry.entries * 8, MIB);
  return { logAt: HEADER_SECTION, metadataAt, batAt, blocksAt: batAt + batLength };
}

/** File offsets of the blocks of a new image. */
interface BlockOffsets {
  /** Returns the file offset of a block, and allocates the block if necessary. */
  allocate(block: number): number;
  /** Returns the file offset of a block; 0 where it is not allocated. */
  find(block: number): number;
  /** Returns whether a page of the BAT, counted from 0, has an allocated block. */
  hasEntriesIn(page: number): boolean;
  /** Returns the end of the file. */
  end(): number;
}

function fixedOffsets({ blocksAt }: Layout, { blockSize, blocks }: Geometry): BlockOffsets {
  const find = (block: number) => blocksAt + block * blockSize;
  return { allocate: find, find, hasEntriesIn: () => true, end: () => find(blocks) };
}

function dynamicOffsets({ blocksAt }: Layout, geometry: Geometry): BlockOffsets {
  // Numbers of blocks in the file, from 1 on, by pages of the BAT: a large disk that is mostly empty takes little memory.
  const pages = new Map<number, Uint32Array>();
  let count = 0;
  const fileOffsetOf = (number: number) => number === 0 ? 0 : blocksAt + (number - 1) * geometry.blockSize;
  return {
    allocate(block) {
      const index = payloadIndex(geometry, block);
      const key = Math.floor(index / PAGE_ENTRIES);
      let page = pages.get(key);
      if (page === undefined) pages.set(key, page = new Uint32Array(PAGE_ENTRIES));
      const number = page[index % PAGE_ENTRIES] ||= ++count;
      return fileOffsetOf(number);
    },
    find(block) {
      const index = payloadIndex(geometry, block);
      return fileOffsetOf(pages.get(Math.floor(index / PAGE_ENTRIES))?.[index % PAGE_ENTRIES] ?? 0);
    },
    hasEntriesIn: (page) => pages.has(page),
    end: () => fileOffsetOf(count + 1),
  };
}

async function writeStructures(
  file: FileWriter,
  layout: Layout,
  geometry: Geometry,
  settings: CreateSettings,
  metadata: Metadata,
  offsets: BlockOffsets,
): Promise<void> {
  const { metadataAt, batAt, blocksAt } = layout;
  const regions = encodeRegions(
    { name: "BAT", start: batAt, end: blocksAt },
    { name: "metadata region", start: metadataAt, end: batAt },
  );
  for (const tableAt of REGION_TABLES_AT) await file.write(regions, tableAt);
  await file.write(encodeMetadata(metadata), metadataAt);
  for (let page = 0; page * PAGE_ENTRIES < geometry.entries; page++) {
    if (!settings.marksZero && !offsets.hasEntriesIn(page)) continue;
    await file.write(encodePage(page, geometry, settings, offsets), batAt + page * PAGE_BYTES);
  }
}

/** Encodes a page of the BAT. Entries of sector bitmaps stay zero: only differencing images have them. */
function encodePage(page: number, geometry: Geometry, settings: CreateSettings, offsets: BlockOffsets): Uint8Array {
  const bytes = new Uint8Array(PAGE_BYTES);
  const view = new DataView(bytes.buffer);
  const { chunkRatio, entries } = geometry;
  const end = Math.min(entries, (page + 1) * PAGE_ENTRIES);
  for (let index = page * PAGE_ENTRIES; index < end; index++) {
    if (index % (chunkRatio + 1) === chunkRatio) continue;
    const offset = offsets.find(index - Math.floor(index / (chunkRatio + 1)));
    if (offset !== 0) setEntry(view, index, STATE.fullyPresent, offset);
    else setEntry(view, index, settings.marksZero ? STATE.zero : STATE.notPresent, 0);
  }
  return bytes;
}

/** Writes the headers, then the identifier, without which the file is no VHDX image. */
async function writeHeaders(storage: WritableStorage, settings: CreateSettings, layout: Layout): Promise<void> {
  const header = {
    fileWriteGuid: crypto.randomUUID(),
    dataWriteGuid: crypto.randomUUID(),
    logGuid: NIL_UUID,
    logVersion: 0,
    version: 1,
    logLength: settings.logLength,
    logAt: layout.logAt,
  };
  await storage.writeAt(encodeHeader({ ...header, sequence: 1n }), HEADERS_AT[0]);
  await storage.writeAt(encodeHeader({ ...header, sequence: 2n }), HEADERS_AT[1]);
  await storage.writeAt(encodeIdentifier("diskcast"), 0);
}
