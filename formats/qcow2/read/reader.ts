/**
 * Guest bytes from clusters: neighbouring host clusters with one request, compressed clusters through a small cache.
 *
 * @module
 */
import type { Storage } from "../../storage/types.ts";
import type { CompressionType } from "../header/types.ts";
import { CLUSTER, hostOffsetOf, l1IndexOf } from "../tables/l2_entry.ts";
import {
  badEntry,
  entryAt,
  entryProblem,
  type L2Entry,
  l2TableAt,
  type Mapping,
  stretchAt,
} from "../tables/mapping.ts";
import type { Unpacker } from "../../unpacker.ts";
import { bytesAt, type PackedCluster, placeOf, unpackElsewhere, unpackHere } from "./packed.ts";

/** A mapping with the bytes that it maps to. */
export interface Source {
  readonly mapping: Mapping;
  /** The image file. */
  readonly storage: Storage;
  /** Where uncompressed clusters lie: the image file, or the external data file. */
  readonly data: Storage;
  readonly compressionType: CompressionType;
  readonly unpacked: UnpackedClusters;
  /** Unpacks elsewhere, many at once. */
  readonly unpack?: Unpacker | undefined;
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
  const target: Target = { into, start, span: pendingSpan(source.data, into), packed: [] };
  let guest = start;
  while (guest < end) {
    const tableEnd = Math.min(end, (l1IndexOf(mapping.geometry, guest) + 1) * mapping.geometry.l2Reach);
    const table = await l2TableAt(mapping, guest);
    if (table === null) into.fill(0, guest - start, tableEnd - start);
    else await readTable(source, table, target, guest, tableEnd);
    guest = tableEnd;
  }
  await target.span.read();
  if (source.unpack) await unpackElsewhere(source, source.unpack, target.packed);
}

/** Where guest bytes go: guest offset `start` is the first byte of `into`. */
interface Target {
  readonly into: Uint8Array;
  readonly start: number;
  readonly span: PendingSpan;
  /** Whole clusters that are to be unpacked elsewhere. */
  readonly packed: PackedCluster[];
}

/** Reads guest bytes `[from, to)`, all of them covered by `table`. */
async function readTable(source: Source, table: DataView, target: Target, from: number, to: number): Promise<void> {
  const { mapping } = source;
  const { into, start, span } = target;
  let guest = from;
  while (guest < to) {
    const entry = entryAt(mapping.geometry, table, guest);
    const cluster = guest - guest % mapping.geometry.clusterSize;
    const problem = entryProblem(mapping, entry, cluster);
    if (problem !== null) throw badEntry(mapping, guest, problem);
    const stretch = stretchAt(mapping, entry, guest);
    const end = Math.min(stretch.end, to);
    if (stretch.status === CLUSTER.data) {
      const fileOffset = hostOffsetOf(entry.high, entry.low) + (guest - cluster);
      if (!span.grow(guest - start, fileOffset, end - guest)) {
        await span.read();
        span.begin(guest - start, fileOffset, end - guest);
      }
    } else if (stretch.status === CLUSTER.compressed) {
      await takeCompressed(source, entry, cluster, target, guest, end);
    } else {
      into.fill(0, guest - start, end - start);
    }
    guest = end;
  }
}

/** File bytes that are to be read with one request, growing while neighbours follow. */
interface PendingSpan {
  /** Takes bytes in that follow on both sides; false where they do not. `at` is a position of the target. */
  grow(at: number, fileOffset: number, length: number): boolean;
  /** Starts anew; what was pending must have been read. */
  begin(at: number, fileOffset: number, length: number): void;
  /** Reads what is pending. */
  read(): Promise<void>;
}

function pendingSpan(data: Storage, into: Uint8Array): PendingSpan {
  let at = 0;
  let fileOffset = 0;
  let length = 0;
  return {
    grow(nextAt, nextFileOffset, nextLength) {
      if (length === 0 || at + length !== nextAt || fileOffset + length !== nextFileOffset) return false;
      length += nextLength;
      return true;
    },
    begin(nextAt, nextFileOffset, nextLength) {
      at = nextAt;
      fileOffset = nextFileOffset;
      length = nextLength;
    },
    async read() {
      if (length === 0) return;
      const piece = into.subarray(at, at + length);
      length = 0;
      await readPadded(data, piece, fileOffset);
    },
  };
}

/** Fills guest bytes `[guest, end)` from the compressed cluster at guest offset `cluster`, or sees to it that others do. */
async function takeCompressed(
  source: Source,
  entry: L2Entry,
  cluster: number,
  { into, start, packed }: Target,
  guest: number,
  end: number,
): Promise<void> {
  const { clusterSize } = source.mapping.geometry;
  const part = into.subarray(guest - start, end - start);
  const here = source.unpacked.get(cluster);
  if (here !== undefined) return part.set(here.subarray(guest - cluster, end - cluster));
  const place = placeOf(source, entry, cluster);
  if (source.unpack && part.length === clusterSize) return void packed.push({ ...place, cluster, into: part });
  const bytes = await unpackHere(source, await bytesAt(source.storage, place), cluster);
  source.unpacked.set(cluster, bytes);
  part.set(bytes.subarray(guest - cluster, end - cluster));
}

/** The last few unpacked clusters, by guest offset, so that reading a cluster piece by piece unpacks it once. */
export interface UnpackedClusters {
  get(guestCluster: number): Uint8Array | undefined;
  set(guestCluster: number, bytes: Uint8Array): void;
}

/** Two clusters for a reader that runs ahead, and more of small ones: 1 MiB is the most that reading in pieces needs. */
const UNPACKED_BYTES = 1 << 20;

/** An empty {@linkcode UnpackedClusters} for clusters of `clusterSize` bytes. */
export function unpackedClusters(clusterSize: number): UnpackedClusters {
  const most = Math.max(2, Math.floor(UNPACKED_BYTES / clusterSize));
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
