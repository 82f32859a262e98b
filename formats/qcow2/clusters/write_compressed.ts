/**
 * Writes of compressed clusters: one after another, not aligned to host clusters.
 *
 * @module
 */
import { memoryContent } from "../../content.ts";
import { ImageError } from "../../errors.ts";
import type { CompressCluster } from "./compress.ts";
import { clusterStart, type Image } from "../image.ts";
import { compressedOffsetLimit, l1IndexOf, l2IndexOf, setCompressed, setSubclusters } from "../mapping/l2_entry.ts";
import { checkedEntry, releaseEntry, writeData } from "./write_data.ts";

/** One cluster of guest bytes, after compression. */
export interface ClusterToWrite {
  readonly guestStart: number;
  /** The uncompressed bytes; the last cluster of the disk may be short. */
  readonly plain: Uint8Array;
  /** Null for a cluster that is written uncompressed. */
  readonly compressed: Uint8Array | null;
}

/** Allocation of file bytes for compressed clusters. */
export interface CompressedAllocator {
  /**
   * Returns a file offset for `length` bytes, less than a cluster; null if it is above the limit of a compressed
   * cluster descriptor.
   */
  allocate(length: number): Promise<number | null>;
}

/** Returns an allocation of compressed clusters for `image`. */
export function compressedAllocator(image: Image): CompressedAllocator {
  const { clusterSize, clusterBits } = image.geometry;
  const { allocator } = image;
  const limit = compressedOffsetLimit(clusterBits);
  /** File offset after the last compressed cluster. At a cluster boundary no host cluster is partly filled. */
  let next = 0;
  let releases = -1;

  /** Whether one more compressed cluster can refer to the partly filled host cluster. */
  async function canShare(): Promise<boolean> {
    // After references were released, the partly filled cluster may belong to another guest cluster.
    if (next % clusterSize === 0 || releases !== image.releases) return false;
    const count = await allocator.refcount(Math.floor(next / clusterSize));
    return count < allocator.maxRefcount;
  }

  return {
    async allocate(length) {
      const share = await canShare();
      const begun = Math.floor(next / clusterSize);
      const room = share ? clusterSize - next % clusterSize : 0;
      let start = next;
      if (length > room) {
        const { first } = await allocator.allocate(1);
        const follows = share && first === begun + 1;
        if (!follows) start = first * clusterSize;
        if (follows) await allocator.increment(begun);
      } else {
        await allocator.increment(begun);
      }
      next = start + length;
      releases = image.releases;
      return start < limit ? start : null;
    },
  };
}

/**
 * Splits `bytes` at cluster boundaries and compresses each whole cluster. A short one at the end of the disk is padded
 * with zeroes.
 */
export async function compressClusters(
  image: Image,
  bytes: Uint8Array,
  guestStart: number,
  compress: CompressCluster,
): Promise<ClusterToWrite[]> {
  const { clusterSize } = image.geometry;
  const end = guestStart + bytes.length;
  const clusters: Promise<ClusterToWrite>[] = [];
  for (let guest = guestStart; guest < end;) {
    const clusterEnd = Math.min(end, clusterStart(image, guest) + clusterSize);
    const plain = bytes.subarray(guest - guestStart, clusterEnd - guestStart);
    const whole = guest % clusterSize === 0 && (plain.length === clusterSize || clusterEnd === image.header.size);
    clusters.push(compressCluster(guest, plain, whole ? clusterSize : 0, compress));
    guest = clusterEnd;
  }
  return await Promise.all(clusters);
}

/** Compresses one cluster, padded to `length` bytes; 0 leaves it uncompressed. */
async function compressCluster(
  guestStart: number,
  plain: Uint8Array,
  length: number,
  compress: CompressCluster,
): Promise<ClusterToWrite> {
  if (length === 0) return { guestStart, plain, compressed: null };
  let cluster = plain;
  if (plain.length < length) {
    cluster = new Uint8Array(length);
    cluster.set(plain);
  }
  return { guestStart, plain, compressed: await compress(cluster) };
}

/** Writes consecutive guest clusters. */
export async function writeCompressedClusters(
  image: Image,
  area: CompressedAllocator,
  clusters: readonly ClusterToWrite[],
): Promise<void> {
  let allocated: AllocatedCluster[] = [];
  for (const cluster of clusters) {
    const fileOffset = cluster.compressed === null ? null : await area.allocate(cluster.compressed.length);
    if (cluster.compressed !== null && fileOffset !== null) {
      allocated.push({ guestCluster: cluster.guestStart, bytes: cluster.compressed, fileOffset });
      continue;
    }
    await writeAllocated(image, allocated);
    allocated = [];
    await writeData(image, memoryContent(cluster.plain), cluster.guestStart);
  }
  await writeAllocated(image, allocated);
  if (image.commitDue) await image.commit();
}

/** A compressed cluster with its file offset. */
interface AllocatedCluster {
  readonly guestCluster: number;
  readonly bytes: Uint8Array;
  readonly fileOffset: number;
}

/** Writes compressed clusters, neighbours with one request, then the L2 entries that point at them. */
async function writeAllocated(image: Image, allocated: readonly AllocatedCluster[]): Promise<void> {
  for (let from = 0; from < allocated.length;) {
    const start = allocated[from]!.fileOffset;
    let end = start;
    let to = from;
    while (to < allocated.length && allocated[to]!.fileOffset === end) end += allocated[to++]!.bytes.length;
    await image.storage.writeAt(joined(allocated.slice(from, to), end - start), start);
    from = to;
  }
  for (const one of allocated) {
    const index = l1IndexOf(image.geometry, one.guestCluster);
    await image.tables.change(index, (table) => mapCompressed(image, table, index, one));
  }
}

function joined(allocated: readonly AllocatedCluster[], length: number): Uint8Array {
  if (allocated.length === 1) return allocated[0]!.bytes;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const one of allocated) {
    bytes.set(one.bytes, at);
    at += one.bytes.length;
  }
  return bytes;
}

function mapCompressed(
  image: Image,
  table: DataView,
  index: number,
  { guestCluster, bytes, fileOffset }: AllocatedCluster,
): void {
  const { geometry } = image;
  releaseEntry(image, checkedEntry(image, table, guestCluster), guestCluster);
  const at = l2IndexOf(geometry, guestCluster) * geometry.l2EntryBytes;
  setCompressed(table, at, geometry.clusterBits, fileOffset, bytes.length);
  if (geometry.extended) setSubclusters(table, at, 0, 0);
  image.tables.changed(index);
}

/**
 * Throws where `image` cannot have compressed clusters.
 *
 * @throws ImageError `unsupported`
 */
export function checkCompressible(image: Image): void {
  if (!image.header.externalData) return;
  throw new ImageError(
    "unsupported",
    `Cannot compress "${image.storage.label}": an image with an external data file cannot have compressed clusters`,
    { path: image.storage.label },
  );
}
