/**
 * Compression of clusters: the codecs of the formats, and a compressor for this thread. The engine provides compressors that
 * do the same in worker threads. Workers run the modules of this folder: `core/workers/program.ts` lists every module that
 * these may import values from.
 *
 * @module
 */
import { ownStreams, type StreamOptions, type Streams } from "./zlib_streams.ts";

/** The compression of a cluster: plain data, which can be sent to a worker. */
export type Codec = DeflateCodec | ZstdCodec;

/** A raw deflate stream (RFC 1951), or a zlib stream (RFC 1950). */
export interface DeflateCodec {
  /** `zlib` has a header and a checksum, `deflate` has none. */
  readonly name: "deflate" | "zlib";
  /** The binary logarithm of the window: 9 to 15. */
  readonly windowBits: number;
  /** 1 to 9; -1 for a level chosen for each cluster ({@linkcode levelFor}). */
  readonly level: number;
  /** Whether a cluster that does not shrink is stored in a stream, which is a little longer than the cluster. */
  readonly stores?: true;
}

/** One Zstandard frame (RFC 8878). */
export interface ZstdCodec {
  /** Distinguishes it from {@linkcode DeflateCodec}. */
  readonly name: "zstd";
  /** 1 to 22; -1 for the default level of Zstandard, with tables that suit the cluster size. */
  readonly level: number;
}

/**
 * Compresses one cluster. Returns new bytes; `null` where the cluster does not shrink, or by less than about 1/64.
 */
export type Compressor = (codec: Codec, cluster: Uint8Array) => Promise<Uint8Array | null>;

/** Returns the bytes of room that {@linkcode compressCluster} needs: a trial may be longer than the cluster. */
export function compressBound(clusterSize: number): number {
  return clusterSize + (clusterSize >> 7) + 1024;
}

/**
 * Compresses one cluster into `into`, which has {@linkcode compressBound} bytes. Returns the length of the result; -1 where
 * the cluster does not shrink. The result depends on codec and cluster alone, not on what was compressed before.
 *
 * @throws the errors of `node:zlib` for a level or a window that it does not support
 */
export function compressCluster(streams: Streams, codec: Codec, cluster: Uint8Array, into: Uint8Array): number {
  if (codec.name === "zstd") {
    const length = streams("zstdCompress", zstdOptions(codec.level, cluster.length), cluster, into);
    return length < cluster.length ? length : -1;
  }
  const type = codec.name === "zlib" ? "deflate" : "deflateRaw";
  const { windowBits, stores } = codec;
  const level = codec.level < 0 ? levelFor(streams, windowBits, cluster, into) : codec.level;
  if (level > 0) {
    const length = streams(type, { windowBits, level, memLevel: 9 }, cluster, into);
    if (length >= 0 && length < cluster.length) return length;
  }
  return stores ? streams(type, { windowBits, level: 0, memLevel: 9 }, cluster, into) : -1;
}

/**
 * Returns the deflate level for a cluster; 0 where none would make it smaller. `into` is room for trials.
 *
 * Only level 9 finds repetitions of three bytes, which are frequent in programs and rare in text: at lower levels, programs
 * take up to 4 % more space.
 */
export function levelFor(streams: Streams, windowBits: number, cluster: Uint8Array, into: Uint8Array): number {
  const { random, text } = sampled(cluster);
  if (!random) return text ? 6 : 9;
  // The longer the input without repetitions, the fewer positions zstd examines: short parts find the near ones.
  const shrinks = anyShrinks(streams, cluster, 8192, into) ||
    (windowBits > 13 && anyShrinks(streams, cluster, cluster.length, into));
  return shrinks ? 9 : 0;
}

/**
 * Returns whether a part of a cluster, of `length` bytes each, shrinks with the fastest Zstandard, which takes a tenth of
 * the time of deflate. It stores what it cannot shrink by 1/64.
 */
export function anyShrinks(streams: Streams, cluster: Uint8Array, length: number, into: Uint8Array): boolean {
  for (let at = 0; at < cluster.length; at += length) {
    const part = cluster.subarray(at, at + length);
    // ZSTD_c_compressionLevel and ZSTD_c_minMatch (zstd.h): the quickest level, but with repetitions of 4 bytes.
    if (streams("zstdCompress", { params: { 100: 1, 105: 4 } }, part, into) < part.length) return true;
  }
  return false;
}

/**
 * Returns the options for clusters of `length` bytes. The tables of the default level do not fit into the processor's
 * caches, and clusters of 64 KiB do not need them: smaller tables take a sixth less time for at most 0.4 % more bytes.
 */
export function zstdOptions(level: number, length: number): StreamOptions {
  if (level > 0) return { params: { 100: level } };
  // ZSTD_c_compressionLevel, ZSTD_c_hashLog and ZSTD_c_chainLog.
  return { params: length <= 65536 ? { 100: 3, 102: 15, 103: 14 } : { 100: 3 } };
}

/**
 * Classifies a cluster by about 2,000 evenly spaced bytes: `random` where all values are about equally frequent, `text` where
 * most are ASCII.
 */
export function sampled(cluster: Uint8Array): { readonly random: boolean; readonly text: boolean } {
  // Odd, to sample all byte positions of records whose length is a power of two.
  const step = cluster.length >> 11 | 1;
  const counts = new Uint32Array(256);
  let samples = 0;
  let squares = 0;
  for (let at = 0; at < cluster.length; at += step) {
    squares += 2 * counts[cluster[at]]++ + 1;
    samples++;
  }
  let ascii = 0;
  for (let byte = 9; byte < 127; byte++) ascii += counts[byte];
  // For random bytes, the sum of squares is `samples + samples² / 256`, within 1 %; for data that shrinks by 1/64, 18 % more.
  return { random: squares < samples + 1.09 * samples ** 2 / 256, text: ascii > 0.9 * samples };
}

/**
 * Compresses in this thread.
 *
 * @example
 * ```ts
 * import { inlineCompressor } from "./compress.ts";
 * import assert from "node:assert/strict";
 *
 * const codec = { name: "deflate", windowBits: 12, level: -1 } as const;
 * const compressed = await inlineCompressor(codec, new Uint8Array(65536));
 * assert.ok(compressed && compressed.length < 500);
 * assert.equal(await inlineCompressor(codec, new Uint8Array(1)), null);
 * ```
 */
export const inlineCompressor: Compressor = async (codec, cluster) => {
  const into = new Uint8Array(compressBound(cluster.length));
  const length = compressCluster(await ownStreams(), codec, cluster, into);
  return length < 0 ? null : into.slice(0, length);
};
