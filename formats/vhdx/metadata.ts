/**
 * The metadata region ([MS-VHDX] 2.6): a table of items, and the items.
 *
 * @module
 */
import { isPowerOfTwo, MIB, setU64, u64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { setUuid, uuidAt } from "../shared/uuid.ts";
import { SECTOR_4K } from "./header.ts";
import { MAX_BLOCK, MAX_SIZE, MIN_BLOCK } from "./options.ts";
import { type ParentLocator, parseParentLocator } from "./parent_locator.ts";
import type { Area } from "./regions.ts";

/** Offset of the first item in the region, after the table. */
const ITEMS_AT = 64 << 10;
const MAX_ENTRIES = 2047;
const MAX_ITEM = 1 << 20;

const FILE_PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b";
const DISK_SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8";
const LOGICAL_SECTOR = "8141bf1d-a96f-4709-ba47-f233a8faab5f";
const PHYSICAL_SECTOR = "cda348c7-445d-4471-9cc9-e9885251c556";
const DISK_ID = "beca12ab-b2e6-4523-93ef-c309e000c746";
const PARENT_LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c";

/** The items by GUID: names for messages, and minimum lengths in bytes. */
const KNOWN: { readonly [guid: string]: { readonly name: string; readonly length: number } } = {
  [FILE_PARAMETERS]: { name: "file parameters", length: 8 },
  [DISK_SIZE]: { name: "virtual disk size", length: 8 },
  [LOGICAL_SECTOR]: { name: "logical sector size", length: 4 },
  [PHYSICAL_SECTOR]: { name: "physical sector size", length: 4 },
  [DISK_ID]: { name: "virtual disk ID", length: 16 },
  [PARENT_LOCATOR]: { name: "parent locator", length: 20 },
};

/** The metadata of an image. Sizes in bytes. */
export interface Metadata {
  readonly blockSize: number;
  /** LeaveBlocksAllocated: blocks are never freed, which makes a fixed image. */
  readonly leavesAllocated: boolean;
  /** Guest bytes. */
  readonly size: number;
  readonly logicalSector: number;
  readonly physicalSector: number;
  readonly diskId: string;
  /** The parent of a differencing image; `null` for all others. */
  readonly parent: ParentLocator | null;
}

interface Item {
  readonly guid: string;
  readonly user: boolean;
  /** Offset in the region. */
  readonly start: number;
  readonly end: number;
}

/**
 * Reads the metadata.
 *
 * @throws ImageError `corrupt` where they contradict the specification; `unsupported` for an unknown item that is
 * required, or a parent locator of another type
 */
export async function readMetadata(storage: Storage, region: Area): Promise<Metadata> {
  const items = await readTable(storage, region);
  const { label } = storage;
  async function read(guid: string): Promise<Uint8Array> {
    const found = items.filter((item) => item.guid === guid && !item.user);
    const { name, length } = KNOWN[guid];
    if (found.length !== 1) {
      throw corrupt(`Cannot open "${label}": its metadata have ${found.length} items "${name}", one is needed`, label);
    }
    const [{ start, end }] = found;
    if (end - start < length) {
      const message = `Cannot use the ${name} of "${label}": it has ${end - start} bytes, ${length} are needed`;
      throw corrupt(message, label, region.start + start);
    }
    const bytes = new Uint8Array(guid === PARENT_LOCATOR ? end - start : length);
    await storage.readAt(bytes, region.start + start);
    return bytes;
  }
  const parameters = viewOf(await read(FILE_PARAMETERS));
  const flags = parameters.getUint32(4, true);
  const metadata: Metadata = {
    blockSize: parameters.getUint32(0, true),
    leavesAllocated: (flags & 3) === 1,
    size: u64(viewOf(await read(DISK_SIZE)), 0, true),
    logicalSector: viewOf(await read(LOGICAL_SECTOR)).getUint32(0, true),
    physicalSector: viewOf(await read(PHYSICAL_SECTOR)).getUint32(0, true),
    diskId: uuidAt(await read(DISK_ID), 0, "mixed"),
    parent: (flags & 2) !== 0 ? parseParentLocator(await read(PARENT_LOCATOR), label) : null,
  };
  checkMetadata(metadata, label);
  return metadata;
}

/** Returns the file offset of the disk size, a field of 8 bytes. {@linkcode readMetadata} must have accepted the region. */
export async function sizeFieldOffset(storage: Storage, region: Area): Promise<number> {
  const items = await readTable(storage, region);
  return region.start + items.find(({ guid, user }) => guid === DISK_SIZE && !user)!.start;
}

async function readTable(storage: Storage, region: Area): Promise<Item[]> {
  const { label } = storage;
  const bytes = new Uint8Array(ITEMS_AT);
  await storage.readAt(bytes, region.start);
  const view = viewOf(bytes);
  const count = view.getUint16(10, true);
  if (view.getUint32(0) !== 0x6d657461 || view.getUint32(4) !== 0x64617461 || count > MAX_ENTRIES) {
    const message = `Cannot use the metadata table of "${label}": it must begin with "metadata" and have at most ` +
      `${MAX_ENTRIES} entries`;
    throw corrupt(message, label, region.start);
  }
  const items: Item[] = [];
  for (let at = 32; items.length < count; at += 32) {
    const guid = uuidAt(bytes, at, "mixed");
    const start = view.getUint32(at + 16, true);
    const length = view.getUint32(at + 20, true);
    const flags = view.getUint32(at + 24, true);
    const user = (flags & 1) !== 0;
    if ((flags & 4) !== 0 && (user || !KNOWN[guid])) {
      const message = `Cannot open "${label}": it has metadata ${guid}, which readers must know, and which are ` +
        `unknown here`;
      throw new ImageError("unsupported", message, { path: label, offset: region.start + at });
    }
    if (length > MAX_ITEM || length > 0 && (start < ITEMS_AT || start + length > region.end - region.start)) {
      const message = `Cannot use the metadata ${guid} of "${label}": the bytes ${start} to ${start + length} of the ` +
        `metadata region are not for items`;
      throw corrupt(message, label, region.start + at);
    }
    items.push({ guid, user, start, end: start + length });
  }
  return items;
}

function checkMetadata(metadata: Metadata, label: string): void {
  const { blockSize, size, logicalSector, physicalSector } = metadata;
  if (!isPowerOfTwo(blockSize) || blockSize < MIN_BLOCK || blockSize > MAX_BLOCK) {
    throw corrupt(`Cannot use blocks of ${blockSize} bytes in "${label}": they must be 1, 2, 4, … 256 MiB`, label);
  }
  if (![512, 4096].includes(logicalSector) || ![512, 4096].includes(physicalSector)) {
    const message = `Cannot use sectors of ${logicalSector} (logical) and ${physicalSector} (physical) bytes in ` +
      `"${label}": they must have 512 or 4096`;
    throw corrupt(message, label);
  }
  if (size > MAX_SIZE || size % logicalSector !== 0) {
    const message = `Cannot use the size of "${label}": it is ${size}, and must be whole sectors of ${logicalSector} ` +
      `bytes and at most 64 TiB`;
    throw corrupt(message, label);
  }
}

/** Bytes of the metadata region of a new image. */
export const METADATA_BYTES = MIB;

/** Encodes the start of the metadata region of an image without a parent; the rest of the region is zero. */
export function encodeMetadata(metadata: Metadata): Uint8Array {
  const bytes = new Uint8Array(ITEMS_AT + SECTOR_4K);
  const view = viewOf(bytes);
  new TextEncoder().encodeInto("metadata", bytes);
  let entries = 0;
  let itemAt = ITEMS_AT;
  const add = (guid: string, ofDisk: boolean, write: (at: number) => void) => {
    const at = 32 + 32 * entries++;
    setUuid(bytes, at, guid, "mixed");
    view.setUint32(at + 16, itemAt, true);
    view.setUint32(at + 20, KNOWN[guid].length, true);
    view.setUint32(at + 24, ofDisk ? 6 : 4, true);
    write(itemAt);
    itemAt += KNOWN[guid].length;
  };
  add(FILE_PARAMETERS, false, (at) => {
    view.setUint32(at, metadata.blockSize, true);
    view.setUint32(at + 4, metadata.leavesAllocated ? 1 : 0, true);
  });
  add(DISK_SIZE, true, (at) => setU64(view, at, metadata.size, true));
  add(LOGICAL_SECTOR, true, (at) => view.setUint32(at, metadata.logicalSector, true));
  add(PHYSICAL_SECTOR, true, (at) => view.setUint32(at, metadata.physicalSector, true));
  add(DISK_ID, true, (at) => setUuid(bytes, at, metadata.diskId, "mixed"));
  view.setUint16(10, entries, true);
  return bytes;
}
