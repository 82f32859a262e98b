/**
 * The clusters of an existing image that hold metadata, so that no damaged entry directs guest data into them.
 *
 * In a valid image each table has clusters of its own (specification, "Host cluster management"). A refcount does not
 * prove that: it states how many references a cluster has, not from where.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import type { BitmapEntry } from "./bitmaps/read.ts";
import type { Header } from "./header/header.ts";
import { geometryOf, hostOffsetOf, l1ReservedSet } from "./mapping/l2_entry.ts";
import { readSnapshots } from "./snapshots/read.ts";
import { REPAIR_FIRST } from "./refuse_corrupt.ts";
import { windowReader } from "./file_reads.ts";

/** Maximum number of clusters that are recorded one by one. Bounds the memory to some hundred MiB for any file. */
const SCATTERED_MAX = 1 << 23;
/** Maximum bytes of snapshots' L1 tables that are read; L2 tables of further entries are not protected. */
const SNAPSHOT_L1_BYTES_MAX = 32 << 20;

/** Names of metadata structures in messages. */
export type Structure =
  | "the header"
  | "the active L1 table"
  | "the refcount table"
  | "the snapshot table"
  | "the L1 table of a snapshot"
  | "the bitmap directory"
  | "a bitmap table"
  | "a refcount block"
  | "an L2 table"
  | "an L2 table of a snapshot"
  | "bits of a bitmap";

/** The host clusters with metadata of an image. Clusters are numbered from the start of the file. */
export interface MetadataRanges {
  /** The cluster after the last one with metadata. */
  readonly end: number;
  /** Returns the structure in `cluster`; null for a cluster without metadata. */
  at(cluster: number): Structure | null;
  /** Records that `count` clusters from `first` on, which were free, hold metadata now. */
  add(first: number, count: number, structure: Structure): void;
  /** Records that a table has moved away. */
  remove(first: number, count: number): void;
  /**
   * Refuses a cluster with metadata that an L2 entry points at.
   *
   * @throws ImageError `corrupt`, with guest offset and host cluster
   */
  refuseMetadata(cluster: number, guestOffset: number): void;
}

/** Parameters of {@linkcode readMetadataRanges}. */
export interface MetadataSetup {
  readonly storage: Storage;
  readonly header: Header;
  /** The active L1 table as on disk. */
  readonly l1: DataView;
  /** File offsets of refcount blocks; 0 for an unallocated one. */
  readonly refcountTable: Float64Array;
  /** The bitmap directory; empty where it is not consistent. */
  readonly bitmaps: readonly BitmapEntry[];
}

/**
 * Reads header, L1 and bitmap tables, and returns the clusters with metadata.
 *
 * @throws ImageError `corrupt` where two structures share a cluster, or an L1 entry points at no cluster; `unsupported`
 * for too much metadata; and the errors of reading snapshots
 */
export async function readMetadataRanges(setup: MetadataSetup): Promise<MetadataRanges> {
  const { storage, header, refcountTable } = setup;
  const { clusterSize } = header;
  const snapshots = await readSnapshots(storage, header);
  const found = tableRanges(setup, snapshots);
  const ranges = metadataRangesOf(storage.label, clusterSize, mergedRanges(found, storage.label, clusterSize));
  for (const fileOffset of refcountTable) {
    if (fileOffset !== 0) addExclusive(setup, ranges, fileOffset / clusterSize, "a refcount block", "a refcount block");
  }
  addActiveTables(setup, ranges);
  await addBitmapBits(setup, ranges);
  await addSnapshotTables(setup, ranges, snapshots);
  return ranges;
}

/** Consecutive clusters with one structure. */
interface ClusterRange {
  readonly first: number;
  readonly end: number;
  readonly structure: Structure;
}

type Snapshots = Awaited<ReturnType<typeof readSnapshots>>;

function tableRanges({ storage, header, bitmaps }: MetadataSetup, snapshots: Snapshots): ClusterRange[] {
  const { clusterSize, l1, refcountTable } = header;
  const found: ClusterRange[] = [];
  const put = (structure: Structure, fileOffset: number, bytes: number) => {
    const fileEnd = Math.min(fileOffset + bytes, storage.size);
    if (fileEnd <= fileOffset) return;
    found.push({ first: Math.floor(fileOffset / clusterSize), end: Math.ceil(fileEnd / clusterSize), structure });
  };
  put("the header", 0, clusterSize);
  put("the active L1 table", l1.fileOffset, l1.entries * 8);
  put("the refcount table", refcountTable.fileOffset, refcountTable.clusters * clusterSize);
  const snapshotBytes = snapshots.reduce((sum, { bytes }) => sum + bytes, 0);
  put("the snapshot table", header.snapshots.fileOffset, snapshotBytes);
  for (const { l1 } of snapshots) put("the L1 table of a snapshot", l1.fileOffset, l1.entries * 8);
  if (bitmaps.length > 0) {
    put("the bitmap directory", header.bitmaps!.directoryFileOffset, header.bitmaps!.directorySize);
  }
  for (const { table } of bitmaps) put("a bitmap table", table.fileOffset, table.entries * 8);
  return found;
}

/** Sorts the ranges. Snapshots may share L1 tables, which are never written; nothing else may be shared. */
function mergedRanges(found: readonly ClusterRange[], label: string, clusterSize: number): ClusterRange[] {
  const sorted = [...found].sort((a, b) => a.first - b.first || a.end - b.end);
  const merged: ClusterRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last === undefined || range.first >= last.end) {
      merged.push(range);
    } else if (range.structure === "the L1 table of a snapshot" && last.structure === range.structure) {
      merged[merged.length - 1] = { ...last, end: Math.max(last.end, range.end) };
    } else {
      throw overlap(label, clusterSize, range.first, last.structure, range.structure);
    }
  }
  return merged;
}

function metadataRangesOf(label: string, clusterSize: number, found: readonly ClusterRange[]): MetadataRanges {
  let contiguous = [...found];
  const scattered = new Map<number, Structure>();
  let end = contiguous.at(-1)?.end ?? 0;

  function at(cluster: number): Structure | null {
    const found = scattered.get(cluster);
    if (found !== undefined) return found;
    let from = 0;
    for (let to = contiguous.length; from < to;) {
      const middle = (from + to) >>> 1;
      if (contiguous[middle]!.end <= cluster) from = middle + 1;
      else to = middle;
    }
    const range = contiguous[from];
    return range !== undefined && range.first <= cluster ? range.structure : null;
  }

  return {
    get end() {
      return end;
    },
    at,
    add(first, count, structure) {
      if (scattered.size + count > SCATTERED_MAX) {
        throw new ImageError(
          "unsupported",
          `Cannot write into "${label}": it has more than ${SCATTERED_MAX} clusters of tables`,
          { path: label },
        );
      }
      for (let cluster = first; cluster < first + count; cluster++) scattered.set(cluster, structure);
      end = Math.max(end, first + count);
    },
    remove(first, count) {
      for (let cluster = first; cluster < first + count; cluster++) scattered.delete(cluster);
      contiguous = contiguous.filter((range) => range.first !== first);
    },
    refuseMetadata(cluster, guestOffset) {
      const structure = at(cluster);
      if (structure === null) return;
      throw corrupt(
        `Cannot change guest byte ${guestOffset} of "${label}": its L2 entry points at host cluster ${cluster}, ` +
          `which holds ${structure}, must point at data; ${REPAIR_FIRST}`,
        label,
        cluster * clusterSize,
      );
    },
  };
}

function overlap(label: string, clusterSize: number, cluster: number, one: string, other: string): ImageError {
  return corrupt(
    `Cannot write into "${label}": host cluster ${cluster} holds ${one} and ${other}, must hold one table; ` +
      REPAIR_FIRST,
    label,
    cluster * clusterSize,
  );
}

/** Adds a cluster that no other structure may share; `what` names it in the message. */
function addExclusive(
  { storage, header }: MetadataSetup,
  ranges: MetadataRanges,
  cluster: number,
  structure: Structure,
  what: string,
): void {
  const other = ranges.at(cluster);
  if (other !== null) throw overlap(storage.label, header.clusterSize, cluster, other, what);
  ranges.add(cluster, 1, structure);
}

function addActiveTables(setup: MetadataSetup, ranges: MetadataRanges): void {
  const { storage, header } = setup;
  const { clusterSize } = header;
  const { l2Reach } = geometryOf(header);
  const { l1 } = setup;
  for (let at = 0; at < l1.byteLength; at += 8) {
    const [high, low] = [l1.getUint32(at), l1.getUint32(at + 4)];
    if (high === 0 && low === 0) continue;
    const fileOffset = hostOffsetOf(high, low);
    const what = `the L2 table of the guest bytes from ${at / 8 * l2Reach} on`;
    if (l1ReservedSet(high, low) || fileOffset % clusterSize !== 0 || fileOffset + clusterSize > storage.size) {
      throw corrupt(
        `Cannot write into "${storage.label}": L1 entry ${at / 8} says that ${what} begins at byte ${fileOffset}, ` +
          `must be at a cluster of the file (${storage.size} bytes), without reserved bits; ${REPAIR_FIRST}`,
        storage.label,
        header.l1.fileOffset + at,
      );
    }
    if (fileOffset !== 0) addExclusive(setup, ranges, fileOffset / clusterSize, "an L2 table", what);
  }
}

/**
 * Adds the clusters of bitmap data, which are overwritten in place. Invalid entries are reported when they are used.
 */
async function addBitmapBits(setup: MetadataSetup, ranges: MetadataRanges): Promise<void> {
  const { storage, header: { clusterSize }, bitmaps } = setup;
  const bytesAt = windowReader(storage);
  for (const { name, table } of bitmaps) {
    for (let index = 0; index < table.entries; index++) {
      const view = viewOf(await bytesAt(table.fileOffset + index * 8, 8));
      const fileOffset = hostOffsetOf(view.getUint32(0), view.getUint32(4));
      if (fileOffset === 0 || fileOffset % clusterSize !== 0 || fileOffset >= storage.size) continue;
      addExclusive(setup, ranges, fileOffset / clusterSize, "bits of a bitmap", `bits of the bitmap "${name}"`);
    }
  }
}

/** Adds the L2 tables of snapshots. Invalid entries are skipped, because no table of a snapshot is ever changed. */
async function addSnapshotTables(setup: MetadataSetup, ranges: MetadataRanges, snapshots: Snapshots): Promise<void> {
  const { storage, header: { clusterSize } } = setup;
  let bytesLeft = SNAPSHOT_L1_BYTES_MAX;
  for (const { l1 } of snapshots) {
    const length = Math.min(l1.entries * 8, bytesLeft, Math.max(0, storage.size - l1.fileOffset));
    bytesLeft -= length;
    const bytes = new Uint8Array(length - length % 8);
    if (bytes.length > 0) await storage.readAt(bytes, l1.fileOffset);
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += 8) {
      const fileOffset = hostOffsetOf(view.getUint32(at), view.getUint32(at + 4));
      if (fileOffset === 0 || fileOffset % clusterSize !== 0 || fileOffset >= storage.size) continue;
      const structure = ranges.at(fileOffset / clusterSize);
      if (structure === null || structure === "an L2 table") {
        ranges.add(fileOffset / clusterSize, 1, "an L2 table of a snapshot");
      }
    }
  }
}
