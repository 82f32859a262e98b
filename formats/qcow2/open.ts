/**
 * A qcow2 image as a disk.
 *
 * @module
 */
import type { Disk, NamedFile, OpenContext } from "../contract.ts";
import { ImageError } from "../errors.ts";
import { andThen } from "../maybe_promise.ts";
import type { Storage } from "../storage/types.ts";
import { tableCache } from "../shared/table_cache.ts";
import { bitmapsOf, readBitmapDirectory } from "./bitmaps/read.ts";
import { infoOf } from "./info.ts";
import { type Header, readHeader } from "./header/header.ts";
import { checkL1Table } from "./header/check.ts";
import { hostHoleSplitter } from "./mapping/host_holes.ts";
import { geometryOf, l1EntriesFor } from "./mapping/l2_entry.ts";
import { extentAt, type L1Location, type Mapping, readL1 } from "./mapping/mapping.ts";
import { readCompressed } from "./clusters/read_compressed.ts";
import { readGuest } from "./clusters/read.ts";
import { type ClusterSource, decompressedClusters } from "./clusters/source.ts";
import { chooseSnapshot, readSnapshots, type Snapshot } from "./snapshots/read.ts";

/** Bytes of L2 tables held: those of 32 GiB of disk with clusters of 64 KiB. A copy walks from front to end. */
const L2_CACHE_BYTES = 4 << 20;

/**
 * Opens a qcow2 image of version 2 or 3, or one of its snapshots, for reading. Dirty and corrupt images open too: the
 * dirty bit speaks of refcounts, which reading does not need.
 *
 * @throws ImageError `corrupt` where it contradicts the specification; `unsupported` for encryption, unknown features
 * and a nameless data file; `missing` for a snapshot that is not there; and what `context.openNamed` throws.
 */
export async function openQcow2(storage: Storage, context: OpenContext): Promise<Disk> {
  const header = await readHeader(storage);
  const snapshots = await readSnapshots(storage, header);
  const snapshot = context.snapshot === undefined ? null : chooseSnapshot(snapshots, context.snapshot, storage.label);
  const bitmaps = bitmapsOf(await readBitmapDirectory(storage, header), storage, header);
  const opened = snapshot === null ? { size: header.size, l1: header.l1 } : snapshotL1(snapshot, header, storage);
  const data = await openData(header, storage, context);
  const source = { ...await sourceOf(header, opened, storage, data), decompress: context.decompressor };
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
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A state of the disk: its size and L1 table. */
interface SizedL1 {
  readonly size: number;
  readonly l1: L1Location;
}

/** The state that a snapshot keeps, checked. An old snapshot that does not state its size has that of the disk. */
function snapshotL1(snapshot: Snapshot, header: Header, storage: Storage): SizedL1 {
  const reach = snapshot.l1.entries * geometryOf(header).l2Reach;
  const size = snapshot.diskSize ?? Math.min(header.size, reach);
  const what = `L1 table of snapshot "${snapshot.name}"`;
  checkL1Table(what, { ...snapshot.l1, size }, header, storage.label, storage.size);
  return { size, l1: snapshot.l1 };
}

/**
 * Where uncompressed clusters lie: `storage` itself, or the data file that the image names.
 *
 * @throws ImageError `unsupported` where it names none, and what `context.openNamed` throws.
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

async function sourceOf(header: Header, opened: SizedL1, storage: Storage, data: Storage): Promise<ClusterSource> {
  const geometry = geometryOf(header);
  // Entries past the end of the disk hold machine state of snapshots.
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
  return { mapping, storage, data, compressionType, decompressed: decompressedClusters(geometry.clusterSize) };
}
