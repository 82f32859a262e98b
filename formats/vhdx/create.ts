/**
 * A new VHDX image: headers, log, metadata, BAT, then blocks in the order in which they are first written (dynamic) or
 * in their own (fixed). Nothing is read back, and the structures are written last.
 *
 * @module
 */
import { alignUp } from "../bytes.ts";
import type { CreatePlan, DiskWriter } from "../contract.ts";
import type { WritableStorage } from "../storage/types.ts";
import { PAGE_BYTES, PAGE_ENTRIES, setEntry, STATE } from "./bat.ts";
import { denseWriter, type FileWriter, sparseWriter } from "./file_writer.ts";
import { type Geometry, geometryOf, payloadIndex, piecesOf } from "./bat_layout.ts";
import { NO_GUID } from "./guid.ts";
import { encodeHeader, encodeIdentifier, HEADER_SECTION, HEADERS_AT } from "./header.ts";
import { MIB } from "./limits.ts";
import { encodeMetadata, type Metadata, METADATA_BYTES } from "./metadata.ts";
import { type CreateSettings, settingsOf } from "./options.ts";
import { encodeRegions, REGION_TABLES_AT } from "./regions.ts";

/** QEMU counts 2^20 entries for a disk without blocks, and refuses a BAT without room for them. */
const EMPTY_BAT = 8 * MIB;

/** Where the parts of a new image stand, in file bytes. */
interface Layout {
  readonly logAt: number;
  readonly metadataAt: number;
  readonly batAt: number;
  readonly blocksAt: number;
}

/** Starts a new dynamic or fixed image in empty storage. The plan has been checked. */
export function createVhdx(storage: WritableStorage, plan: CreatePlan): Promise<DiskWriter> {
  const settings = settingsOf(plan);
  const metadata: Metadata = {
    blockSize: settings.blockSize,
    leavesAllocated: settings.fixed,
    size: settings.size,
    logicalSector: 512,
    physicalSector: 4096,
    diskId: crypto.randomUUID(),
    parent: null,
  };
  const geometry = geometryOf(metadata);
  const layout = layoutOf(settings, geometry);
  // A device keeps what was on it: it gets every byte, too.
  const isSparse = settings.sparse && storage.startsZeroed;
  const file = isSparse ? sparseWriter(storage) : denseWriter(storage);
  const places = settings.fixed ? fixedPlaces(layout, geometry) : dynamicPlaces(layout, geometry);
  return Promise.resolve({
    traits: {
      size: settings.size,
      clusterSize: settings.blockSize,
      sector: 512,
      compress: false,
      order: "any",
      startsZeroed: true,
      zeroes: settings.fixed && !storage.zeroesCheaply ? "written" : "cheap",
    },
    async write(from, start) {
      for (const { block, within, begin, end } of piecesOf(geometry, start, start + from.length)) {
        await file.write(from.subarray(begin - start, end - start), places.take(block) + within);
      }
    },
    // Without holes what lies before a piece must be written first.
    ...(settings.fixed && isSparse && {
      locationFor: (start: number) => ({ storage, offset: layout.blocksAt + start, end: settings.size }),
    }),
    async zero(start, end) {
      for (const piece of piecesOf(geometry, start, end)) {
        const place = places.find(piece.block);
        if (place !== 0) await file.zero(place + piece.within, place + piece.within + piece.end - piece.begin);
      }
    },
    async finish() {
      await writeStructures(file, layout, geometry, settings, metadata, places);
      await file.finish(places.end());
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

/** Which places in the file the blocks have. */
interface Places {
  /** File offset of a block, which gets a place if it has none. */
  take(block: number): number;
  /** File offset of a block; 0 where it has no place. */
  find(block: number): number;
  /** Whether any entry of a piece of the BAT, counted from 0, has a place. */
  touches(page: number): boolean;
  /** End of the file. */
  end(): number;
}

function fixedPlaces({ blocksAt }: Layout, { blockSize, blocks }: Geometry): Places {
  const find = (block: number) => blocksAt + block * blockSize;
  return { take: find, find, touches: () => true, end: () => find(blocks) };
}

function dynamicPlaces({ blocksAt }: Layout, geometry: Geometry): Places {
  // Numbers of blocks in the file, from 1 on, by pieces of the BAT: a large disk that is mostly empty costs little.
  const pages = new Map<number, Uint32Array>();
  let count = 0;
  const fileOffsetOf = (number: number) => number === 0 ? 0 : blocksAt + (number - 1) * geometry.blockSize;
  return {
    take(block) {
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
    touches: (page) => pages.has(page),
    end: () => fileOffsetOf(count + 1),
  };
}

async function writeStructures(
  file: FileWriter,
  layout: Layout,
  geometry: Geometry,
  settings: CreateSettings,
  metadata: Metadata,
  places: Places,
): Promise<void> {
  const { metadataAt, batAt, blocksAt } = layout;
  const regions = encodeRegions(
    { name: "BAT", start: batAt, end: blocksAt },
    { name: "metadata region", start: metadataAt, end: batAt },
  );
  for (const tableAt of REGION_TABLES_AT) await file.write(regions, tableAt);
  await file.write(encodeMetadata(metadata), metadataAt);
  for (let page = 0; page * PAGE_ENTRIES < geometry.entries; page++) {
    if (!settings.marksZero && !places.touches(page)) continue;
    await file.write(encodePage(page, geometry, settings, places), batAt + page * PAGE_BYTES);
  }
}

/** A piece of the BAT. Entries of sector bitmaps stay zero: only differencing images have them. */
function encodePage(page: number, geometry: Geometry, settings: CreateSettings, places: Places): Uint8Array {
  const bytes = new Uint8Array(PAGE_BYTES);
  const view = new DataView(bytes.buffer);
  const { chunkRatio, entries } = geometry;
  const end = Math.min(entries, (page + 1) * PAGE_ENTRIES);
  for (let index = page * PAGE_ENTRIES; index < end; index++) {
    if (index % (chunkRatio + 1) === chunkRatio) continue;
    const place = places.find(index - Math.floor(index / (chunkRatio + 1)));
    if (place !== 0) setEntry(view, index, STATE.fullyPresent, place);
    else setEntry(view, index, settings.marksZero ? STATE.zero : STATE.notPresent, 0);
  }
  return bytes;
}

/** The headers and, last of all, what makes the file a VHDX file. */
async function writeHeaders(storage: WritableStorage, settings: CreateSettings, layout: Layout): Promise<void> {
  const header = {
    fileWriteGuid: crypto.randomUUID(),
    dataWriteGuid: crypto.randomUUID(),
    logGuid: NO_GUID,
    logVersion: 0,
    version: 1,
    logLength: settings.logLength,
    logAt: layout.logAt,
  };
  await storage.writeAt(encodeHeader({ ...header, sequence: 1n }), HEADERS_AT[0]);
  await storage.writeAt(encodeHeader({ ...header, sequence: 2n }), HEADERS_AT[1]);
  await storage.writeAt(encodeIdentifier("diskcast"), 0);
}
