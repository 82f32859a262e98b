/**
 * Reads of guest bytes: neighbouring host clusters with one request, compressed clusters through a small cache.
 *
 * @module
 */
import { CLUSTER, hostOffsetOf, l1IndexOf } from "../mapping/l2_entry.ts";
import { badEntry, contiguousEnd, entryAt, entryProblem, l2TableOffsetAt, statusAt } from "../mapping/mapping.ts";
import {
  compressedRangeOf,
  type CompressedRead,
  decompressInThread,
  decompressWhole,
  readRange,
} from "./read_compressed.ts";
import type { ClusterSource } from "./source.ts";

/**
 * Fills `into` with guest bytes of this layer from `start` on. Unallocated clusters read as zeroes.
 *
 * @throws ImageError `corrupt` for invalid tables and damaged compressed clusters
 */
export async function readGuest(source: ClusterSource, into: Uint8Array, start: number): Promise<void> {
  const { mapping } = source;
  const end = start + into.length;
  const target: Target = { into, start, spans: [], compressed: [] };
  let guest = start;
  while (guest < end) {
    const tableEnd = Math.min(end, (l1IndexOf(mapping.geometry, guest) + 1) * mapping.geometry.l2Reach);
    const table = l2TableOffsetAt(mapping, guest);
    if (table === 0) into.fill(0, guest - start, tableEnd - start);
    else await mapping.tables.look(table, ({ view }) => locate(source, view, target, guest, tableEnd));
    guest = tableEnd;
  }
  for (const { at, length, fileOffset } of target.spans) {
    await source.readData(source.data, into.subarray(at, at + length), fileOffset);
  }
  await decompress(source, target.compressed);
}

/** The destination of a read: guest offset `start` is the first byte of `into`. */
interface Target {
  readonly into: Uint8Array;
  readonly start: number;
  /** Ranges to read. */
  readonly spans: Span[];
  /** Clusters to decompress. */
  readonly compressed: CompressedRead[];
}

/** File bytes to read with one request, extended while neighbours follow; `at` is a position in the destination. */
interface Span {
  readonly at: number;
  readonly fileOffset: number;
  length: number;
}

/**
 * Collects the spans and compressed clusters of the guest bytes `[from, to)`, all of them mapped by `table`, and fills
 * in zeroes.
 */
function locate(source: ClusterSource, table: DataView, target: Target, from: number, to: number): void {
  const { mapping } = source;
  const { into, start, spans, compressed } = target;
  let guest = from;
  while (guest < to) {
    const entry = entryAt(mapping.geometry, table, guest);
    const cluster = guest - guest % mapping.geometry.clusterSize;
    const problem = entryProblem(mapping, entry, cluster);
    if (problem !== null) throw badEntry(mapping, guest, problem);
    const part = statusAt(mapping, entry, guest);
    const end = Math.min(contiguousEnd(mapping.geometry, table, guest, part.end, to), to);
    if (part.status === CLUSTER.data) {
      addSpan(spans, guest - start, hostOffsetOf(entry.high, entry.low) + (guest - cluster), end - guest);
    } else if (part.status === CLUSTER.compressed) {
      const range = compressedRangeOf(source, entry, cluster);
      compressed.push({ ...range, cluster, from: guest - cluster, into: into.subarray(guest - start, end - start) });
    } else {
      into.fill(0, guest - start, end - start);
    }
    guest = end;
  }
}

/** Adds a range to read: extends the last span where it continues it in the guest and in the file. */
function addSpan(spans: Span[], at: number, fileOffset: number, length: number): void {
  const last = spans.at(-1);
  if (last && last.at + last.length === at && last.fileOffset + last.length === fileOffset) last.length += length;
  else spans.push({ at, fileOffset, length });
}

/** Decompresses clusters: whole ones concurrently, parts of clusters in this thread. */
async function decompress(source: ClusterSource, compressed: readonly CompressedRead[]): Promise<void> {
  const whole: CompressedRead[] = [];
  for (const one of compressed) {
    const { cluster, from, into } = one;
    let bytes = source.decompressed.get(cluster);
    if (bytes === undefined && into.length === source.mapping.geometry.clusterSize) {
      whole.push(one);
      continue;
    }
    if (bytes === undefined) {
      bytes = await decompressInThread(source, await readRange(source.storage, one), cluster);
      source.decompressed.set(cluster, bytes);
    }
    into.set(bytes.subarray(from, from + into.length));
  }
  await decompressWhole(source, whole);
}
