/**
 * Guest bytes from clusters: neighbouring host clusters with one request, compressed clusters through a small cache.
 *
 * @module
 */
import type { Storage } from "../../storage/types.ts";
import type { CompressionType } from "../header/types.ts";
import { CLUSTER, hostOffsetOf, l1IndexOf } from "../mapping/l2_entry.ts";
import { alikeEnd, badEntry, entryAt, entryProblem, l2PlaceAt, type Mapping, stretchAt } from "../mapping/mapping.ts";
import type { Decompressor } from "../../codec/decompress.ts";
import { bytesAt, type CompressedRead, decompressElsewhere, decompressHere, placeOf } from "./compressed.ts";

/** A mapping with the bytes that it maps to. */
export interface Source {
  readonly mapping: Mapping;
  /** The image file. */
  readonly storage: Storage;
  /** Where uncompressed clusters lie: the image file, or the external data file. */
  readonly data: Storage;
  readonly compressionType: CompressionType;
  readonly decompressed: DecompressedClusters;
  /** Decompresses elsewhere, many at once. */
  readonly decompress?: Decompressor | undefined;
}

/** Fills `into` with what `storage` has from `fileOffset` on, and zeroes past its end. */
export async function readPadded(storage: Storage, into: Uint8Array, fileOffset: number): Promise<void> {
  const there = Math.max(0, Math.min(into.length, storage.size - fileOffset));
  if (there > 0) await storage.readAt(there === into.length ? into : into.subarray(0, there), fileOffset);
  if (there < into.length) into.fill(0, there);
}

/**
 * Fills `into` with this layer's guest bytes from `start` on. What the layer does not hold comes as zeroes.
 *
 * @throws ImageError `corrupt` for bad tables and damaged compressed clusters.
 */
export async function readGuest(source: Source, into: Uint8Array, start: number): Promise<void> {
  const { mapping } = source;
  const end = start + into.length;
  const target: Target = { into, start, spans: [], compressed: [] };
  let guest = start;
  while (guest < end) {
    const tableEnd = Math.min(end, (l1IndexOf(mapping.geometry, guest) + 1) * mapping.geometry.l2Reach);
    const place = l2PlaceAt(mapping, guest);
    if (place === 0) into.fill(0, guest - start, tableEnd - start);
    else await mapping.tables.look(place, ({ view }) => locate(source, view, target, guest, tableEnd));
    guest = tableEnd;
  }
  for (const { at, length, fileOffset } of target.spans) {
    await readPadded(source.data, into.subarray(at, at + length), fileOffset);
  }
  await decompress(source, target.compressed);
}

/** Where guest bytes go: guest offset `start` is the first byte of `into`. */
interface Target {
  readonly into: Uint8Array;
  readonly start: number;
  /** What is to be read. */
  readonly spans: Span[];
  /** What is to be decompressed. */
  readonly compressed: CompressedRead[];
}

/** File bytes that are to be read with one request, growing while neighbours follow; `at` is a position of the target. */
interface Span {
  readonly at: number;
  readonly fileOffset: number;
  length: number;
}

/** Finds out where the guest bytes `[from, to)` lie, all of them covered by `table`, and fills in zeroes. */
function locate(source: Source, table: DataView, target: Target, from: number, to: number): void {
  const { mapping } = source;
  const { into, start, spans, compressed } = target;
  let guest = from;
  while (guest < to) {
    const entry = entryAt(mapping.geometry, table, guest);
    const cluster = guest - guest % mapping.geometry.clusterSize;
    const problem = entryProblem(mapping, entry, cluster);
    if (problem !== null) throw badEntry(mapping, guest, problem);
    const stretch = stretchAt(mapping, entry, guest);
    const end = Math.min(alikeEnd(mapping.geometry, table, guest, stretch.end, to), to);
    if (stretch.status === CLUSTER.data) {
      addSpan(spans, guest - start, hostOffsetOf(entry.high, entry.low) + (guest - cluster), end - guest);
    } else if (stretch.status === CLUSTER.compressed) {
      const part = into.subarray(guest - start, end - start);
      compressed.push({ ...placeOf(source, entry, cluster), cluster, from: guest - cluster, into: part });
    } else {
      into.fill(0, guest - start, end - start);
    }
    guest = end;
  }
}

/** Adds what is to be read: to the span before, where it follows on both sides. */
function addSpan(spans: Span[], at: number, fileOffset: number, length: number): void {
  const last = spans.at(-1);
  if (last && last.at + last.length === at && last.fileOffset + last.length === fileOffset) last.length += length;
  else spans.push({ at, fileOffset, length });
}

/** Decompresses clusters: whole ones elsewhere, where that is possible. */
async function decompress(source: Source, compressed: readonly CompressedRead[]): Promise<void> {
  const elsewhere: CompressedRead[] = [];
  for (const one of compressed) {
    const { cluster, from, into } = one;
    let bytes = source.decompressed.get(cluster);
    if (bytes === undefined && source.decompress && into.length === source.mapping.geometry.clusterSize) {
      elsewhere.push(one);
      continue;
    }
    if (bytes === undefined) {
      bytes = await decompressHere(source, await bytesAt(source.storage, one), cluster);
      source.decompressed.set(cluster, bytes);
    }
    into.set(bytes.subarray(from, from + into.length));
  }
  if (source.decompress) await decompressElsewhere(source, source.decompress, elsewhere);
}

/** The last few decompressed clusters, by guest offset, so that reading a cluster piece by piece decompresses it once. */
export interface DecompressedClusters {
  get(guestCluster: number): Uint8Array | undefined;
  set(guestCluster: number, bytes: Uint8Array): void;
}

/** Two clusters for a reader that runs ahead, and more of small ones: 1 MiB is the most that reading in pieces needs. */
const DECOMPRESSED_BYTES = 1 << 20;

/** An empty {@linkcode DecompressedClusters} for clusters of `clusterSize` bytes. */
export function decompressedClusters(clusterSize: number): DecompressedClusters {
  const most = Math.max(2, Math.floor(DECOMPRESSED_BYTES / clusterSize));
  const clusters = new Map<number, Uint8Array>();
  return {
    get: (guestCluster) => clusters.get(guestCluster),
    set(guestCluster, bytes) {
      clusters.set(guestCluster, bytes);
      if (clusters.size <= most) return;
      const oldest = clusters.keys().next().value;
      if (oldest !== undefined) clusters.delete(oldest);
    },
  };
}
