/**
 * Compressed clusters: where they lie, reading them, and having them decompressed here or elsewhere.
 *
 * @module
 */
import { partsOf } from "../../bytes.ts";
import type { CompressedCluster } from "../../contract.ts";
import { corrupt } from "../../errors.ts";
import type { Storage } from "../../storage/types.ts";
import type { Decompressor } from "../../codec/decompress.ts";
import { decodeCompressed, isCompressed } from "../mapping/l2_entry.ts";
import { badEntry, entryAt, entryProblem, type L2Entry, l2PlaceAt } from "../mapping/mapping.ts";
import type { Source } from "./read.ts";
import { zstdFrameLength } from "./zstd_frames.ts";

/** A stretch of file bytes. */
interface Place {
  readonly fileOffset: number;
  readonly length: number;
}

/** A compressed cluster: where it lies, and where its bytes go. */
export interface CompressedRead extends Place {
  /** Guest offset. */
  readonly cluster: number;
  /** Position in the cluster of the first byte that is wanted. */
  readonly from: number;
  readonly into: Uint8Array;
}

/** Compressed clusters that follow one another are read together up to this many bytes. */
const COMPRESSED_SPAN = 1 << 20;

/** Where the compressed bytes of the compressed cluster at guest offset `cluster` lie, and maybe some that follow. */
export function placeOf({ mapping, storage }: Source, entry: L2Entry, cluster: number): Place {
  const { fileOffset, length } = decodeCompressed(mapping.geometry.clusterBits, entry.high, entry.low);
  if (fileOffset >= storage.size) {
    throw corrupt(
      `Cannot read ${describe(cluster)} of "${storage.label}": it begins at byte ${fileOffset}, past the end of the ` +
        `file (${storage.size})`,
      storage.label,
    );
  }
  // The last sector of a file need not be whole.
  return { fileOffset, length: Math.min(length, storage.size - fileOffset) };
}

/** Reads compressed bytes. */
export async function bytesAt(storage: Storage, { fileOffset, length }: Place): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

/** What {@linkcode Disk.readCompressed} does. */
export async function readCompressed(
  source: Source,
  room: Uint8Array,
  start: number,
  end: number,
): Promise<readonly CompressedCluster[] | null> {
  const { mapping, storage } = source;
  const { clusterSize } = mapping.geometry;
  if (start % clusterSize !== 0 || end % clusterSize !== 0) return null;
  const places: Place[] = [];
  for (let cluster = start; cluster < end; cluster += clusterSize) {
    const table = l2PlaceAt(mapping, cluster);
    const place = table === 0 ? null : await mapping.tables.look(table, ({ view }) => placeIn(source, view, cluster));
    if (place === null) return null;
    places.push(place);
  }
  const units: CompressedCluster[] = [];
  const take = partsOf(room);
  for (const { fileOffset, length, places: inside } of spansOf(places)) {
    const bytes = take(length);
    await storage.readAt(bytes, fileOffset);
    for (const place of inside) {
      const unit = compressedAt(source, bytes, place.fileOffset - fileOffset, place.length);
      if (!unit) return null;
      units.push({ ...unit, length: clusterSize });
    }
  }
  return units;
}

/** Where a compressed cluster lies as `table` tells; `null` for one that is not compressed. */
function placeIn(source: Source, table: DataView, cluster: number): Place | null {
  const { mapping } = source;
  const entry = entryAt(mapping.geometry, table, cluster);
  if (!isCompressed(entry.high)) return null;
  const problem = entryProblem(mapping, entry, cluster);
  if (problem !== null) throw badEntry(mapping, cluster, problem);
  return placeOf(source, entry, cluster);
}

/** Decompresses clusters, all at once; neighbours in the file are read with one request. */
export async function decompressElsewhere(
  source: Source,
  decompress: Decompressor,
  clusters: readonly CompressedRead[],
): Promise<void> {
  const decompressing: Promise<void>[] = [];
  try {
    for (const span of spansOf(clusters)) {
      const bytes = await bytesAt(source.storage, span);
      for (const one of span.places) {
        decompressing.push(decompressInto(source, decompress, bytes, one.fileOffset - span.fileOffset, one));
      }
    }
  } finally {
    // Nobody may write into the target once this call has ended.
    await Promise.allSettled(decompressing);
  }
  await Promise.all(decompressing);
}

/** Decompresses one cluster in this thread. */
export async function decompressHere(source: Source, compressed: Uint8Array, cluster: number): Promise<Uint8Array> {
  const { decompressCluster } = await import("./decompress.ts");
  const { clusterSize } = source.mapping.geometry;
  return decompressCluster(compressed, source.compressionType, clusterSize, describe(cluster), source.storage.label);
}

async function decompressInto(
  source: Source,
  decompress: Decompressor,
  span: Uint8Array,
  at: number,
  { length, into, cluster }: CompressedRead,
): Promise<void> {
  const unit = compressedAt(source, span, at, length);
  if (unit && await decompress(unit.codec, unit.bytes, into)) return;
  // Several frames, or damage: here it is found out which, and said.
  into.set(await decompressHere(source, span.subarray(at, at + length), cluster));
}

/** The compressed bytes at `at`, cut to what belongs to them; `null` where they are more or less than one zstd frame. */
function compressedAt(
  { compressionType }: Source,
  span: Uint8Array,
  at: number,
  length: number,
): Pick<CompressedCluster, "codec" | "bytes"> | null {
  const bytes = span.subarray(at, at + length);
  if (compressionType !== "zstd") return { codec: "deflate", bytes };
  const whole = zstdFrameLength(bytes, 0);
  return whole === null ? null : { codec: "zstd", bytes: bytes.subarray(0, whole) };
}

/** Places that follow one another, for one request each. */
function* spansOf<P extends Place>(places: readonly P[]): Generator<Place & { readonly places: readonly P[] }> {
  for (let from = 0; from < places.length;) {
    const { fileOffset } = places[from];
    let end = fileOffset + places[from].length;
    let to = from + 1;
    // A place ends with the sector that its last byte is in: the next cluster begins there or a little before.
    for (; to < places.length; to++) {
      const next = places[to];
      const nextEnd = next.fileOffset + next.length;
      if (next.fileOffset < fileOffset || next.fileOffset > end || nextEnd - fileOffset > COMPRESSED_SPAN) break;
      end = Math.max(end, nextEnd);
    }
    yield { fileOffset, length: end - fileOffset, places: places.slice(from, to) };
    from = to;
  }
}

function describe(cluster: number): string {
  return `the compressed cluster at guest byte ${cluster}`;
}
