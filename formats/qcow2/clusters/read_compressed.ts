/**
 * Compressed clusters: their file ranges, reads of their bytes, and decompression by workers or in this thread.
 *
 * @module
 */
import { bufferAllocator } from "../../bytes.ts";
import type { CompressedCluster } from "../../guest_reader.ts";
import { corrupt } from "../../errors.ts";
import type { Storage } from "../../storage/types.ts";
import { decodeCompressed, isCompressed } from "../mapping/l2_entry.ts";
import { badEntry, entryAt, entryProblem, type L2Entry, l2TableOffsetAt } from "../mapping/mapping.ts";
import type { ClusterSource } from "./source.ts";
import { zstdFrameLength } from "./zstd_frames.ts";

/** A range of file bytes. */
interface FileRange {
  readonly fileOffset: number;
  readonly length: number;
}

/** A compressed cluster to read: its file range and its destination. */
export interface CompressedRead extends FileRange {
  /** Guest offset of the cluster. */
  readonly cluster: number;
  /** Position in the cluster of the first byte to read. */
  readonly from: number;
  readonly into: Uint8Array;
}

/** Maximum bytes of consecutive compressed clusters that are read with one request. */
const COMPRESSED_SPAN = 1 << 20;

/**
 * Returns the file range of the compressed cluster at guest offset `cluster`. It may end after the stream, in bytes of
 * other clusters.
 */
export function compressedRangeOf({ mapping, storage }: ClusterSource, entry: L2Entry, cluster: number): FileRange {
  const { fileOffset, length } = decodeCompressed(mapping.geometry.clusterBits, entry.high, entry.low);
  if (fileOffset >= storage.size) {
    throw corrupt(
      `Cannot read ${describe(cluster)} of "${storage.label}": it begins at byte ${fileOffset}, past the end of the ` +
        `file (${storage.size})`,
      storage.label,
    );
  }
  // The file may end inside the last sector.
  return { fileOffset, length: Math.min(length, storage.size - fileOffset) };
}

/** Reads the bytes of a file range. */
export async function readRange(storage: Storage, { fileOffset, length }: FileRange): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

/** Implements {@linkcode Disk.readCompressed}. */
export async function readCompressed(
  source: ClusterSource,
  room: Uint8Array,
  start: number,
  end: number,
): Promise<readonly CompressedCluster[] | null> {
  const { mapping, storage } = source;
  const { clusterSize } = mapping.geometry;
  if (start % clusterSize !== 0 || end % clusterSize !== 0) return null;
  const ranges: FileRange[] = [];
  for (let cluster = start; cluster < end; cluster += clusterSize) {
    const table = l2TableOffsetAt(mapping, cluster);
    const range = table === 0 ? null : await mapping.tables.look(table, ({ view }) => rangeIn(source, view, cluster));
    if (range === null) return null;
    ranges.push(range);
  }
  const clusters: CompressedCluster[] = [];
  const takeRoom = bufferAllocator(room);
  for (const { fileOffset, length, ranges: inside } of spansOf(ranges)) {
    const bytes = takeRoom(length);
    await storage.readAt(bytes, fileOffset);
    for (const range of inside) {
      const compressed = compressedAt(source, bytes, range.fileOffset - fileOffset, range.length);
      if (!compressed) return null;
      clusters.push({ ...compressed, length: clusterSize });
    }
  }
  return clusters;
}

/** Returns the file range of a compressed cluster mapped by `table`; null for one that is not compressed. */
function rangeIn(source: ClusterSource, table: DataView, cluster: number): FileRange | null {
  const { mapping } = source;
  const entry = entryAt(mapping.geometry, table, cluster);
  if (!isCompressed(entry.high)) return null;
  const problem = entryProblem(mapping, entry, cluster);
  if (problem !== null) throw badEntry(mapping, cluster, problem);
  return compressedRangeOf(source, entry, cluster);
}

/** Decompresses whole clusters concurrently. Neighbours in the file are read with one request. */
export async function decompressWhole(
  source: ClusterSource,
  clusters: readonly CompressedRead[],
): Promise<void> {
  const decompressing: Promise<void>[] = [];
  try {
    for (const span of spansOf(clusters)) {
      const bytes = await readRange(source.storage, span);
      for (const one of span.ranges) {
        decompressing.push(decompressInto(source, bytes, one.fileOffset - span.fileOffset, one));
      }
    }
  } finally {
    // No worker may write into the destination after this call has ended.
    await Promise.allSettled(decompressing);
  }
  await Promise.all(decompressing);
}

/** Decompresses one cluster in this thread. */
export async function decompressInThread(
  source: ClusterSource,
  compressed: Uint8Array,
  cluster: number,
): Promise<Uint8Array> {
  const { decompressCluster } = await import("./decompress.ts");
  const { clusterSize } = source.mapping.geometry;
  const { compressionType, storage: { label } } = source;
  return decompressCluster(compressed, compressionType, clusterSize, describe(cluster), label, cluster);
}

async function decompressInto(
  source: ClusterSource,
  span: Uint8Array,
  at: number,
  { length, into, cluster }: CompressedRead,
): Promise<void> {
  const compressed = compressedAt(source, span, at, length);
  if (compressed && await source.decompress(compressed.codec, compressed.bytes, into)) return;
  // Several frames, or a damaged one: this thread decompresses them or reports the damage.
  into.set(await decompressInThread(source, span.subarray(at, at + length), cluster));
}

/**
 * Returns the compressed bytes at `at`, without those that follow the stream; null where they are not exactly one zstd
 * frame.
 */
function compressedAt(
  { compressionType }: ClusterSource,
  span: Uint8Array,
  at: number,
  length: number,
): Pick<CompressedCluster, "codec" | "bytes"> | null {
  const bytes = span.subarray(at, at + length);
  if (compressionType !== "zstd") return { codec: "deflate", bytes };
  const whole = zstdFrameLength(bytes, 0);
  return whole === null ? null : { codec: "zstd", bytes: bytes.subarray(0, whole) };
}

/** Groups consecutive ranges into spans, one request each. */
function* spansOf<P extends FileRange>(ranges: readonly P[]): Generator<FileRange & { readonly ranges: readonly P[] }> {
  for (let from = 0; from < ranges.length;) {
    const { fileOffset } = ranges[from];
    let end = fileOffset + ranges[from].length;
    let to = from + 1;
    // A range ends with the sector of its last byte, so the next cluster begins at that end or in the sector before.
    for (; to < ranges.length; to++) {
      const next = ranges[to];
      const nextEnd = next.fileOffset + next.length;
      if (next.fileOffset < fileOffset || next.fileOffset > end || nextEnd - fileOffset > COMPRESSED_SPAN) break;
      end = Math.max(end, nextEnd);
    }
    yield { fileOffset, length: end - fileOffset, ranges: ranges.slice(from, to) };
    from = to;
  }
}

function describe(cluster: number): string {
  return `the compressed cluster at guest byte ${cluster}`;
}
