/**
 * A VMDK as a disk: its extents one after another.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { Disk, OpenContext } from "../contract.ts";
import type { CompressedCluster, NamedFile } from "../guest_reader.ts";
import { corrupt, ImageError } from "../errors.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { locatedExtent } from "../shared/located_extent.ts";
import { dataExtent, type Extent, shiftExtent, zeroExtent } from "../extent.ts";
import type { Storage } from "../storage/types.ts";
import type { Decompressor } from "../codec/decompress.ts";
import { openCowd } from "./cowd.ts";
import { type Descriptor, NO_PARENT } from "./descriptor.ts";
import { type ExtentFacts, factsOf } from "./info.ts";
import { grainExtentAt, type GrainMap } from "./grain_directory.ts";
import { FLAG } from "./header.ts";
import { openHostedSparse } from "./hosted_sparse.ts";
import { type Part, readLayout } from "./extent_files.ts";
import { compressedReader, type GrainReader, plainReader } from "./grain_reader.ts";
import { openSeSparse } from "./sesparse.ts";
import { COWD_MAGIC, isSeSparse, SPARSE_MAGIC } from "./signatures.ts";
import { type TableMemory, tableMemory } from "./grain_table_reader.ts";

/** What all extents of a disk use together. */
interface Shared {
  readonly memory: TableMemory;
  readonly decompress: Decompressor;
}

/** One extent to be read. Positions count from its start. */
interface ExtentFile {
  /** Guest bytes of the disk, `[start, end)`. */
  readonly start: number;
  readonly end: number;
  extentAt(start: number, limit: number): MaybePromise<Extent>;
  read(into: Uint8Array, start: number): Promise<void>;
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
  readonly unit: number;
  readonly info: ExtentFacts;
}

/**
 * Opens a VMDK of any kind for reading.
 *
 * @throws ImageError `corrupt` where it contradicts its specification; `unsupported` for physical disks, unknown versions
 * and journals; and what `context.openNamed` throws for its extents
 */
export async function openVmdk(storage: Storage, context: OpenContext): Promise<Disk> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  const extents: ExtentFile[] = [];
  const shared = { memory: tableMemory(), decompress: context.decompressor };
  for (const part of layout.parts) extents.push(await openExtent(part, shared));
  const { descriptor, size } = layout;
  const covering = (at: number) => extents[indexOf(extents, at)];
  return {
    format: "vmdk",
    size,
    clusterSize: extents.find((extent) => extent.unit > 1)?.unit ?? 1,
    backing: backingOf(descriptor, storage.label),
    ...(descriptor?.cid && { id: descriptor.cid }),
    info: factsOf(descriptor, extents.map((extent) => extent.info)),
    extentAt(start, limit) {
      const extent = covering(start);
      const found = extent.extentAt(start - extent.start, Math.min(limit, extent.end) - extent.start);
      return andThen(found, (part) => shiftExtent(part, extent.start));
    },
    async read(into, start) {
      const end = start + into.length;
      for (let at = start; at < end;) {
        const extent = covering(at);
        const partEnd = Math.min(end, extent.end);
        await extent.read(into.subarray(at - start, partEnd - start), at - extent.start);
        at = partEnd;
      }
    },
    async readCompressed(room, start, end) {
      const extent = covering(start);
      if (end > extent.end) return null;
      return await extent.readCompressed?.(room, start - extent.start, end - extent.start) ?? null;
    },
  };
}

/** The extent that holds the guest byte `at`. */
function indexOf(extents: readonly ExtentFile[], at: number): number {
  let [low, high] = [0, extents.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (extents[middle].end > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Returns the parent that a descriptor names. Where it names one and its parent CID says that there is none, opening the
 * parent fails, because the IDs differ.
 */
export function backingOf(descriptor: Descriptor | null, label: string): NamedFile | null {
  if (descriptor === null) return null;
  const { parentHint, parentCid } = descriptor;
  if (parentHint !== null) return { name: parentHint, format: "vmdk", ...(parentCid !== null && { id: parentCid }) };
  if (parentCid === null || parentCid === NO_PARENT) return null;
  const message = `Cannot open "${label}": it has a parent with the CID "${parentCid}", but does not name its file`;
  throw corrupt(message, label);
}

async function openExtent(part: Part<Storage>, shared: Shared): Promise<ExtentFile> {
  const { guestStart, size, storage } = part;
  const range = { start: guestStart, end: guestStart + size };
  if (part.kind === "zero" || storage === null) {
    return { ...range, unit: 1, info: { ...part, format: "ZERO" }, ...zeroFile() };
  }
  if (part.line?.access === "NOACCESS") {
    return { ...range, unit: 1, info: { ...part, format: part.line.type }, ...noAccess(storage.label) };
  }
  if (part.kind === "flat") {
    return { ...range, unit: 1, info: { ...part, format: "FLAT" }, ...flatFile(storage, part.fileOffset) };
  }
  const { map, reader, format } = await openSparse(storage, shared);
  if (map.size < size) {
    const message = `Cannot open "${storage.label}": it holds ${map.size} guest bytes, and the descriptor says ${size}`;
    throw corrupt(message, storage.label);
  }
  const info = { ...part, format, compressed: map.compressed, grainBytes: map.grainBytes };
  return {
    ...range,
    unit: map.grainBytes,
    info,
    extentAt: (start, limit) => grainExtentAt(map, start, limit),
    ...reader,
  };
}

type Access = Pick<ExtentFile, "extentAt" | "read">;

function zeroFile(): Access {
  return {
    extentAt: (start, limit) => zeroExtent(start, limit),
    read: (into) => Promise.resolve(void into.fill(0)),
  };
}

/** An extent without access reads as data that fails; with `--salvage` it becomes zeroes. */
function noAccess(label: string): Access {
  return {
    extentAt: (start, limit) => dataExtent(start, limit),
    read: () => {
      const message = `Cannot read from "${label}": the descriptor says that this extent has no access`;
      return Promise.reject(new ImageError("unsupported", message, { path: label }));
    },
  };
}

function flatFile(storage: Storage, fileOffset: number): Access {
  return {
    extentAt: (start, limit) => locatedExtent(storage, start, limit, fileOffset + start),
    read: (into, start) => storage.readAt(into, fileOffset + start),
  };
}

/** A sparse extent of any kind: what it is shows in its first bytes. */
async function openSparse(
  storage: Storage,
  { memory, decompress }: Shared,
): Promise<{ readonly map: GrainMap; readonly reader: GrainReader; readonly format: string }> {
  const head = new Uint8Array(Math.min(16, storage.size));
  await storage.readAt(head, 0);
  const magic = head.length >= 4 ? viewOf(head).getUint32(0, true) : 0;
  if (magic === SPARSE_MAGIC) {
    const { map, header } = await openHostedSparse(storage, memory);
    const hasMarkers = (header.flags & FLAG.markers) !== 0;
    const reader = map.compressed ? compressedReader(map, storage, hasMarkers, decompress) : plainReader(map, storage);
    return { map, reader, format: "SPARSE" };
  }
  if (magic === COWD_MAGIC) {
    const map = await openCowd(storage, memory);
    return { map, reader: plainReader(map, storage), format: "VMFSSPARSE" };
  }
  if (isSeSparse(head)) {
    const map = await openSeSparse(storage, memory);
    return { map, reader: plainReader(map, storage), format: "SESPARSE" };
  }
  throw corrupt(
    `Cannot open "${storage.label}" as a sparse extent: it begins with none of their magics`,
    storage.label,
  );
}
