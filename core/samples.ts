/**
 * Takes samples of the data of a disk, spread evenly: measures reading, writing and compression.
 *
 * @module
 */
import { alignDown, type Compressor, type DiskWriter, type GuestReader, inlineCompressor } from "../formats/mod.ts";
import type { CompressedShare } from "./compressed_size.ts";
import { isZero } from "./zeroes.ts";

/** Number of batches of samples: the variance between batches gives the error of the mean. */
const BATCHES = 8;
/** Bytes of one batch. */
const BATCH_BYTES = 1 << 20;
/** Bytes of one sample, where the target does not compress. */
const SAMPLE_BYTES = 64 << 10;
/** Most bytes that a format adds to a compressed cluster, for its header and alignment: a sector. */
const OVERHEAD_BYTES = 512;

/** Result of {@linkcode takeSamples}. */
export interface Samples {
  /** Guest bytes that were read. */
  readonly sampled: number;
  readonly readSeconds: number;
  readonly writeSeconds: number;
  /** How well the data compresses, where the target compresses. */
  readonly compression?: CompressedShare;
}

/** Input of {@linkcode takeSamples}. */
export interface Sampling {
  readonly source: GuestReader;
  /** Guest bytes of all its data. */
  readonly data: number;
  /** A new target that is discarded; it compresses with `compressor`. */
  readonly writer: DiskWriter;
  readonly compressor: CountingCompressor;
  readonly checkpoint: (share?: number) => Promise<void>;
}

/** A compressor that counts the bytes of its results. */
export interface CountingCompressor {
  readonly compress: Compressor;
  /** Returns the bytes that all clusters so far would take in a file. */
  compressed(): number;
}

/** Wraps a compressor. A cluster that does not become smaller counts as it is. */
export function countingCompressor(compress: Compressor = inlineCompressor): CountingCompressor {
  let bytes = 0;
  return {
    async compress(codec, cluster) {
      const compressed = await compress(codec, cluster);
      bytes += (compressed ?? cluster).length;
      return compressed;
    },
    compressed: () => bytes,
  };
}

/** Takes samples of a few megabytes. Samples of zeroes are not written, as in a conversion. */
export async function takeSamples({ source, data, writer, compressor, checkpoint }: Sampling): Promise<Samples> {
  const { compress, clusterSize } = writer.traits;
  const length = compress ? clusterSize : SAMPLE_BYTES;
  const perBatch = Math.max(1, Math.floor(BATCH_BYTES / length));
  const starts = await sampleStarts(source, data, BATCHES * perBatch, length, checkpoint);
  const batches = Array.from({ length: BATCHES }, () => ({ bytes: 0, compressed: 0 }));
  const seconds = { read: 0, write: 0 };
  for (const [nth, start] of starts.entries()) {
    const batch = batches[nth % BATCHES];
    const bytes = new Uint8Array(Math.min(length, source.size - start));
    const before = compressor.compressed();
    const begun = performance.now();
    await source.read(bytes, start);
    const read = performance.now();
    if (compress && !isZero(bytes)) await writer.write(bytes, start);
    seconds.read += (read - begun) / 1000;
    seconds.write += (performance.now() - read) / 1000;
    batch.bytes += bytes.length;
    batch.compressed += compressor.compressed() - before;
    await checkpoint((nth + 1) / starts.length);
  }
  const sampled = batches.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    sampled,
    readSeconds: seconds.read,
    writeSeconds: seconds.write,
    ...(compress && sampled > 0 &&
      { compression: shareOf(batches.filter(({ bytes }) => bytes > 0), data, clusterSize) }),
  };
}

/** Returns the share of all batches together and two standard errors, less where the samples are much of the data. */
function shareOf(
  batches: readonly { readonly bytes: number; readonly compressed: number }[],
  data: number,
  clusterSize: number,
): CompressedShare {
  const bytes = batches.reduce((sum, batch) => sum + batch.bytes, 0);
  const share = batches.reduce((sum, batch) => sum + batch.compressed, 0) / bytes;
  const shares = batches.map((batch) => batch.compressed / batch.bytes);
  const variance = shares.reduce((sum, one) => sum + (one - share) ** 2, 0) / Math.max(1, shares.length - 1);
  const unseen = Math.max(0, 1 - bytes / data);
  return { share, error: 2 * Math.sqrt(unseen * variance / shares.length) + OVERHEAD_BYTES / clusterSize };
}

/** Returns where up to `count` samples of `length` bytes start, evenly spread over the `data` bytes of the disk. */
async function sampleStarts(
  source: GuestReader,
  data: number,
  count: number,
  length: number,
  checkpoint: Sampling["checkpoint"],
): Promise<number[]> {
  const starts: number[] = [];
  let passed = 0;
  let next = 0;
  for (let at = 0; at < source.size && next < count;) {
    const extent = await source.extentAt(at, source.size);
    if (extent.kind === "data") {
      for (; next < count && (next + 0.5) * data / count < passed + extent.end - at; next++) {
        const start = alignDown(at + Math.floor((next + 0.5) * data / count - passed), length);
        if (starts.at(-1) !== start) starts.push(start);
      }
      passed += extent.end - at;
    }
    at = extent.end;
    await checkpoint();
  }
  return starts;
}
