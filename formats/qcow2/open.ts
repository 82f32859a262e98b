/**
 * Opening a qcow2 image for reading.
 *
 * @module
 */
import type { Decompressor } from "../codec/decompress.ts";
import type { Disk, OpenContext } from "../contract.ts";
import type { NamedFile } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { andThen } from "../maybe_promise.ts";
import type { Storage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import { readData } from "../shared/truncated_file.ts";
import { bitmapsOf, readBitmapDirectory } from "./bitmaps/read.ts";
import { infoOf } from "./info.ts";
import { type Header, readHeader } from "./header/header.ts";
import { checkSnapshotL1 } from "./header/check.ts";
import { hostHoleSplitter } from "./mapping/host_holes.ts";
import { geometryOf, l1EntriesFor } from "./mapping/l2_entry.ts";
import { extentAt, type L1Location, type Mapping, readL1 } from "./mapping/mapping.ts";
import { readCompressed } from "./clusters/read_compressed.ts";
import { readGuest } from "./clusters/read.ts";
import { type ClusterSource, decompressedClusters } from "./clusters/source.ts";
import { chooseSnapshot, readSnapshots, type Snapshot } from "./snapshots/read.ts";

/**
 * Bytes of L2 tables in the cache: enough for 32 GiB of disk with clusters of 64 KiB. A copy reads from front to end.
 */
const L2_CACHE_BYTES = 4 << 20;

/**
 * Opens a qcow2 image of version 2 or 3, or one of its snapshots, for reading. Dirty and corrupt images open too: the
 * dirty bit concerns refcounts, which reading does not need.
 *
 * @throws ImageError `corrupt` where the image contradicts the specification; `unsupported` for encryption, unknown
 * features, and an external data file without a name; `missing` for a snapshot that does not exist; and the errors of
 * `context.openNamed`
 */
export async function openQcow2(storage: Storage, context: OpenContext): Promise<Disk> {
  const header = await readHeader(storage);
  const snapshots = await readSnapshots(storage, header);
  const snapshot = context.snapshot === undefined ? null : chooseSnapshot(snapshots, context.snapshot, storage.label);
  const bitmaps = bitmapsOf(await readBitmapDirectory(storage, header), storage, header);
  const opened = snapshot === null ? { size: header.size, l1: header.l1 } : snapshotL1(snapshot, header, storage);
  const data = await openData(header, storage, context);
  const source = await sourceOf(header, opened, storage, data, context.decompressor);
  const splitAtHoles = hostHoleSplitter(source.data, header.clusterSize);
  return {
    format: "qcow2",
    size: opened.size,
    clusterSize: header.clusterSize,
    backing: header.backing,
    info: infoOf(header, snapshots, bitmaps),
    ...(header.version === 3 && snapshot === null && { bitmaps }),
    extentAt: (start, limit) =>
      andThen(
        extentAt(source.mapping, start, limit),
        (extent) =>
          splitAtHoles !== null && extent.kind === "data" && !extent.compressed ? splitAtHoles(extent) : extent,
      ),
    read: (into, start) => readGuest(source, into, start),
    readCompressed: (room, start, end) => readCompressed(source, room, start, end),
  };
}

/** An L1 table and the size of the disk that it maps: the active one or that of a snapshot. */
interface SizedL1 {
  readonly size: number;
  readonly l1: L1Location;
}

/**
 * Checks and returns the L1 table of a snapshot. An old snapshot that does not state a disk size has that of the image.
 */
function snapshotL1(snapshot: Snapshot, header: Header, storage: Storage): SizedL1 {
  const reach = snapshot.l1.entries * geometryOf(header).l2Reach;
  const size = snapshot.diskSize ?? Math.min(header.size, reach);
  checkSnapshotL1(snapshot, size, header, storage);
  return { size, l1: snapshot.l1 };
}

/**
 * Returns the storage with uncompressed clusters: `storage` itself, or the data file that the image names.
 *
 * @throws ImageError `unsupported` where the image names none, and the errors of `context.openNamed`
 */
export async function openData<S extends Storage>(
  header: Header,
  storage: S,
  context: { openNamed(file: NamedFile): Promise<S> },
): Promise<S> {
  if (!header.externalData) return storage;
  if (header.dataFileName === null || header.dataFileName === "") {
    throw new ImageError(
      "unsupported",
      `Cannot open "${storage.label}": its data lie in a file that it does not name`,
      {
        path: storage.label,
      },
    );
  }
  return await context.openNamed({ name: header.dataFileName, format: "raw" });
}

async function sourceOf(
  header: Header,
  opened: SizedL1,
  storage: Storage,
  data: Storage,
  decompress: Decompressor,
): Promise<ClusterSource> {
  const geometry = geometryOf(header);
  // L1 entries past the end of the disk hold the machine state of snapshots.
  const l1 = await readL1(storage, opened.l1, l1EntriesFor(geometry, opened.size));
  const mapping: Mapping = {
    geometry,
    version: header.version,
    externalData: header.externalData,
    label: storage.label,
    fileSize: storage.size,
    l1,
    data,
    tables: tableCache(storage, geometry.clusterSize, L2_CACHE_BYTES),
  };
  const { compressionType } = header;
  return {
    mapping,
    storage,
    data,
    readData: (from, into, fileOffset) => readData(from, into, fileOffset, "data", { image: storage.label }),
    compressionType,
    decompressed: decompressedClusters(geometry.clusterSize),
    decompress,
  };
}
