/**
 * Samples of the data of a disk, spread evenly over it: how long they take, and how well they compress.
 *
 * @module
 */
import { alignDown, type Compressor, type DiskWriter, type GuestReader, inlineCompressor } from "../formats/mod.ts";
import type { CompressedShare } from "./compressed_size.ts";
import { isZero } from "./zeroes.ts";

/** Samples are taken in so many groups; their differences tell how far the mean can be trusted. */
const GROUPS = 8;
/** Bytes of one group. */
const GROUP_BYTES = 1 << 20;
/** Bytes of one sample where the target has no clusterSize. */
const SAMPLE_BYTES = 64 << 10;
/** What a format adds to a compressed clusterSize, to mark and to align it, is not more than a sector. */
const PLACE_BYTES = 512;

/** What samples tell. */
export interface Samples {
  /** Guest bytes that were read. */
  readonly sampled: number;
  readonly readSeconds: number;
  readonly writeSeconds: number;
  /** How well they compress, where the target compress. */
  readonly compress?: CompressedShare;
}

/** What is sampled. */
export interface Sampling {
  readonly source: GuestReader;
  /** Guest bytes of all its data. */
  readonly data: number;
  /** A new target that is thrown away; it compress with `compressor`. */
  readonly writer: DiskWriter;
  readonly compressor: CountingCompressor;
  readonly checkpoint: (share?: number) => Promise<void>;
}

/** A compressor that counts what is left. */
export interface CountingCompressor {
  readonly compress: Compressor;
  /** Bytes that all units so far would take in a file. */
  compressed(): number;
}

/** A compressor that counts what `compress` leaves; what does not become smaller stays as it is. */
export function countingCompressor(compress: Compressor = inlineCompressor): CountingCompressor {
  let bytes = 0;
  return {
    async compress(codec, unit) {
      const compressed = await compress(codec, unit);
      bytes += (compressed ?? unit).length;
      return compressed;
    },
    compressed: () => bytes,
  };
}

/** Takes samples, a few megabytes. Zeroes among the data take no space, as in a conversion. */
export async function takeSamples({ source, data, writer, compressor, checkpoint }: Sampling): Promise<Samples> {
  const { compress, clusterSize: unit } = writer.traits;
  const length = compress ? unit : SAMPLE_BYTES;
  const perGroup = Math.max(1, Math.floor(GROUP_BYTES / length));
  const places = await placesIn(source, data, GROUPS * perGroup, length, checkpoint);
  const groups = Array.from({ length: GROUPS }, () => ({ bytes: 0, compressed: 0 }));
  const seconds = { read: 0, write: 0 };
  for (const [nth, start] of places.entries()) {
    const group = groups[nth % GROUPS];
    const bytes = new Uint8Array(Math.min(length, source.size - start));
    const before = compressor.compressed();
    const begun = performance.now();
    await source.read(bytes, start);
    const read = performance.now();
    if (compress && !isZero(bytes)) await writer.write(bytes, start);
    seconds.read += (read - begun) / 1000;
    seconds.write += (performance.now() - read) / 1000;
    group.bytes += bytes.length;
    group.compressed += compressor.compressed() - before;
    await checkpoint((nth + 1) / places.length);
  }
  const sampled = groups.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    sampled,
    readSeconds: seconds.read,
    writeSeconds: seconds.write,
    ...(compress && sampled > 0 && { compress: shareOf(groups.filter(({ bytes }) => bytes > 0), data, unit) }),
  };
}

/** The share of all groups together, and two standard errors of it, less where the samples are much of the data. */
function shareOf(
  groups: readonly { readonly bytes: number; readonly compressed: number }[],
  data: number,
  unit: number,
): CompressedShare {
  const bytes = groups.reduce((sum, group) => sum + group.bytes, 0);
  const share = groups.reduce((sum, group) => sum + group.compressed, 0) / bytes;
  const shares = groups.map((group) => group.compressed / group.bytes);
  const variance = shares.reduce((sum, one) => sum + (one - share) ** 2, 0) / Math.max(1, shares.length - 1);
  const unseen = Math.max(0, 1 - bytes / data);
  return { share, error: 2 * Math.sqrt(unseen * variance / shares.length) + PLACE_BYTES / unit };
}

/** Guest offsets of `count` different units that hold data, evenly spread over the `data` bytes there are. */
async function placesIn(
  source: GuestReader,
  data: number,
  count: number,
  unit: number,
  checkpoint: Sampling["checkpoint"],
): Promise<number[]> {
  const places: number[] = [];
  let passed = 0;
  let next = 0;
  for (let at = 0; at < source.size && next < count;) {
    const run = await source.extentAt(at, source.size);
    if (run.kind === "data") {
      for (; next < count && (next + 0.5) * data / count < passed + run.end - at; next++) {
        const place = alignDown(at + Math.floor((next + 0.5) * data / count - passed), unit);
        if (places.at(-1) !== place) places.push(place);
      }
      passed += run.end - at;
    }
    at = run.end;
    await checkpoint();
  }
  return places;
}
