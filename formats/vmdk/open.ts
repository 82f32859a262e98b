/**
 * Opens a VMDK as a disk: its extent files one after another.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import type { Disk, OpenContext } from "../contract.ts";
import type { CompressedCluster, NamedFile } from "../guest_reader.ts";
import { corrupt, ImageError } from "../errors.ts";
import { andThen, type MaybePromise } from "../maybe_promise.ts";
import { locatedExtent } from "../shared/located_extent.ts";
import { readData } from "../shared/truncated_file.ts";
import { dataExtent, type Extent, shiftExtent, zeroExtent } from "../extent.ts";
import type { Storage } from "../storage/types.ts";
import type { Decompressor } from "../codec/decompress.ts";
import { openCowd } from "./cowd.ts";
import { type Descriptor, NO_PARENT } from "./descriptor.ts";
import { type ExtentFileInfo, infoOf } from "./info.ts";
import { grainExtentAt, type GrainMap } from "./grain_directory.ts";
import { COWD_MAGIC, FLAG, isSeSparse, SPARSE_MAGIC, type SparseHeader } from "./header.ts";
import { headerOfTruncatedStream, openHostedSparse } from "./hosted_sparse.ts";
import { baseName, type ExtentFile, readLayout } from "./extent_files.ts";
import { compressedReader, type GrainReader, uncompressedReader } from "./grain_reader.ts";
import { openSeSparse } from "./sesparse.ts";
import { type GrainTableCache, grainTableCache } from "./grain_table_reader.ts";

/** The table cache and the decompressor that all extent files of a disk share. */
interface Shared {
  readonly tableCache: GrainTableCache;
  readonly decompress: Decompressor;
  readonly onWarning: (message: string) => void;
}

/** An open extent file. Guest bytes of its methods count from its start. */
interface OpenExtentFile {
  /** Its guest bytes `[start, end)` of the disk. */
  readonly start: number;
  readonly end: number;
  extentAt(start: number, limit: number): MaybePromise<Extent>;
  read(into: Uint8Array, start: number): Promise<void>;
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
  readonly clusterSize: number;
  readonly info: ExtentFileInfo;
}

/**
 * Opens a VMDK of any subformat for reading.
 *
 * @throws ImageError `corrupt` if it contradicts its specification; `unsupported` for physical disks, unknown versions
 * and journals; and the errors of `context.openNamed` for its extent files
 */
export async function openVmdk(storage: Storage, context: OpenContext): Promise<Disk> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  const extentFiles: OpenExtentFile[] = [];
  const { decompressor, onWarning = () => {} } = context;
  const shared = { tableCache: grainTableCache(), decompress: decompressor, onWarning };
  for (const extentFile of layout.extentFiles) extentFiles.push(await openExtentFile(extentFile, shared));
  const { descriptor, size } = layout;
  const covering = (at: number) => extentFiles[indexAt(extentFiles, at)];
  return {
    format: "vmdk",
    size,
    clusterSize: extentFiles.find((file) => file.clusterSize > 1)?.clusterSize ?? 1,
    logicalSectorSize: SECTOR,
    backing: backingOf(descriptor, storage.label),
    ...(descriptor?.cid && { id: descriptor.cid }),
    info: infoOf(descriptor, extentFiles.map((file) => file.info), storage),
    extentAt(start, limit) {
      const file = covering(start);
      const extentInFile = file.extentAt(start - file.start, Math.min(limit, file.end) - file.start);
      return andThen(extentInFile, (found) => shiftExtent(found, file.start));
    },
    async read(into, start) {
      const end = start + into.length;
      for (let at = start; at < end;) {
        const file = covering(at);
        const partEnd = Math.min(end, file.end);
        await file.read(into.subarray(at - start, partEnd - start), at - file.start);
        at = partEnd;
      }
    },
    async readCompressed(room, start, end) {
      const file = covering(start);
      if (end > file.end) return null;
      return await file.readCompressed?.(room, start - file.start, end - file.start) ?? null;
    },
  };
}

/** Returns the index of the extent file that holds guest byte `at`. */
function indexAt(extentFiles: readonly OpenExtentFile[], at: number): number {
  let [low, high] = [0, extentFiles.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (extentFiles[middle].end > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Returns the parent that a descriptor names. If it names one although `parentCID` says that there is none, opening the
 * parent fails, because the content IDs differ.
 */
export function backingOf(descriptor: Descriptor | null, label: string): NamedFile | null {
  if (descriptor === null) return null;
  const { parentHint, parentCid } = descriptor;
  if (parentHint !== null) {
    // ESX states the path in its own file system (`/vmfs/volumes/…`); elsewhere the parent lies beside the child.
    const others = parentHint.startsWith("/") ? [baseName(parentHint)] : [];
    return {
      name: parentHint,
      ...(others.length > 0 && { others }),
      format: "vmdk",
      ...(parentCid !== null && { id: parentCid }),
    };
  }
  if (parentCid === null || parentCid === NO_PARENT) return null;
  const message = `Cannot open "${label}": it has a parent with the CID "${parentCid}", but does not name its file`;
  throw corrupt(message, label);
}

async function openExtentFile(extentFile: ExtentFile<Storage>, shared: Shared): Promise<OpenExtentFile> {
  const { guestStart, size, storage } = extentFile;
  const range = { start: guestStart, end: guestStart + size };
  if (extentFile.type === "zero" || storage === null) {
    return { ...range, clusterSize: 1, info: { ...extentFile, format: "ZERO" }, ...zeroFile() };
  }
  if (extentFile.line?.access === "NOACCESS") {
    return {
      ...range,
      clusterSize: 1,
      info: { ...extentFile, format: extentFile.line.type },
      ...noAccess(storage.label),
    };
  }
  if (extentFile.type === "flat") {
    return {
      ...range,
      clusterSize: 1,
      info: { ...extentFile, format: "FLAT" },
      ...flatFile(storage, extentFile.fileOffset),
    };
  }
  const { map, reader, format, extentAt } = await openSparse(storage, shared);
  if (map.size < size) {
    const message = `Cannot open "${storage.label}": it holds ${map.size} guest bytes, and the descriptor says ${size}`;
    throw corrupt(message, storage.label);
  }
  const info = { ...extentFile, format, compressed: map.compressed, grainBytes: map.grainBytes };
  return {
    ...range,
    clusterSize: map.grainBytes,
    info,
    extentAt: extentAt ?? ((start, limit) => grainExtentAt(map, start, limit)),
    ...reader,
  };
}

type ReadMethods = Pick<OpenExtentFile, "extentAt" | "read">;

function zeroFile(): ReadMethods {
  return {
    extentAt: (start, limit) => zeroExtent(start, limit),
    read: (into) => Promise.resolve(void into.fill(0)),
  };
}

/** An extent with NOACCESS: data whose reads fail; with `--salvage` they give zeroes. */
function noAccess(label: string): ReadMethods {
  return {
    extentAt: (start, limit) => dataExtent(start, limit),
    read: () => {
      const message = `Cannot read from "${label}": the descriptor says that this extent has no access`;
      return Promise.reject(new ImageError("unsupported", message, { path: label }));
    },
  };
}

function flatFile(storage: Storage, fileOffset: number): ReadMethods {
  return {
    extentAt: (start, limit) => locatedExtent(storage, start, limit, fileOffset + start),
    read: (into, start) => readData(storage, into, fileOffset + start, `guest byte ${start}`),
  };
}

/** An open sparse extent file. */
interface OpenSparse {
  readonly map: GrainMap;
  readonly reader: GrainReader;
  readonly format: string;
  /** Absent: as the map states. */
  readonly extentAt?: OpenExtentFile["extentAt"];
}

/** Opens a stream that is cut off: its grains are read, and the data after them is missing. */
async function openTruncatedStream(
  storage: Storage,
  header: SparseHeader,
  decompress: Decompressor,
): Promise<OpenSparse> {
  const { readTruncatedStream, truncatedReader } = await import("./truncated_stream.ts");
  const stream = await readTruncatedStream(storage, header);
  const { extentAt, ...reader } = truncatedReader(
    stream,
    storage,
    compressedReader(stream.map, storage, true, decompress),
  );
  return { map: stream.map, reader, format: "SPARSE", extentAt };
}

/** Opens a sparse extent file, whose type its magic states. */
async function openSparse(
  storage: Storage,
  { tableCache, decompress, onWarning }: Shared,
): Promise<OpenSparse> {
  const head = new Uint8Array(Math.min(16, storage.size));
  await storage.readAt(head, 0);
  const magic = head.length >= 4 ? viewOf(head).getUint32(0, true) : 0;
  if (magic === SPARSE_MAGIC) {
    const opened = await openHostedSparse(storage, tableCache).catch(async (error: unknown) => {
      const header = await headerOfTruncatedStream(storage);
      if (header === null) throw error;
      return header;
    });
    if (!("map" in opened)) return await openTruncatedStream(storage, opened, decompress);
    const { map, header, streamEnd } = opened;
    if (streamEnd < storage.size) {
      onWarning(
        `"${storage.label}" is too long: ${storage.size - streamEnd} bytes after the end of its stream are ignored`,
      );
    }
    const hasMarkers = (header.flags & FLAG.markers) !== 0;
    const reader = map.compressed
      ? compressedReader(map, storage, hasMarkers, decompress)
      : uncompressedReader(map, storage);
    return { map, reader, format: "SPARSE" };
  }
  if (magic === COWD_MAGIC) {
    const map = await openCowd(storage, tableCache);
    return { map, reader: uncompressedReader(map, storage), format: "VMFSSPARSE" };
  }
  if (isSeSparse(head)) {
    const map = await openSeSparse(storage, tableCache);
    return { map, reader: uncompressedReader(map, storage), format: "SESPARSE" };
  }
  throw corrupt(
    `Cannot open "${storage.label}" as a sparse extent: it begins with none of their magics`,
    storage.label,
  );
}
