/**
 * Compressing a clusterSize of guest bytes: what a format asks for, and the plain way to do it. The engine may hand in another way
 * that does the same on other cores.
 *
 * @module
 */
import { ownStreams, type StreamOptions, type Streams } from "./zlib_streams.ts";

/** How to compress. Plain data, so that it can be sent to a worker. */
export type Codec = DeflateCodec | ZstdCodec;

/** A raw deflate stream (RFC 1951), or a zlib stream (RFC 1950). */
export interface DeflateCodec {
  /** `zlib` has a header and a checksum, `deflate` has none. */
  readonly name: "deflate" | "zlib";
  /** 9 to 15. */
  readonly windowBits: number;
  /** 1 to 9; -1 for what suits the clusterSize ({@linkcode levelFor}). */
  readonly level: number;
  /** Whether a clusterSize that does not get smaller is stored in a stream that is a little longer than the clusterSize. */
  readonly stores?: true;
}

/** One Zstandard frame (RFC 8878). */
export interface ZstdCodec {
  /** Tells it apart from {@linkcode DeflateCodec}. */
  readonly name: "zstd";
  /** 1 to 22; -1 for Zstandard's usual one, with tables that suit the clusterSize. */
  readonly level: number;
}

/**
 * Compresses one clusterSize; `null` where that does not make it smaller, or hardly would (by less than 1/64). The result is the
 * caller's to keep.
 */
export type Compressor = (codec: Codec, unit: Uint8Array) => Promise<Uint8Array | null>;

/** Bytes that {@linkcode compressCluster} needs for the result of a clusterSize: it may be longer than the clusterSize while it is tried. */
export function compressBound(unitBytes: number): number {
  return unitBytes + (unitBytes >> 7) + 1024;
}

/**
 * Compresses one clusterSize into `into`, which has {@linkcode compressBound}; returns the length of the result, -1 where there is none.
 * The same for the same clusterSize, whatever was compressed before. Knows its neighbours in this file and nothing else by name,
 * because workers run its text.
 *
 * @throws what `node:zlib` throws for a level or a window that it does not have
 */
export function compressCluster(run: Streams, codec: Codec, unit: Uint8Array, into: Uint8Array): number {
  if (codec.name === "zstd") {
    const length = run("zstdCompress", zstdOptions(codec.level, unit.length), unit, into);
    return length < unit.length ? length : -1;
  }
  const kind = codec.name === "zlib" ? "deflate" : "deflateRaw";
  const { windowBits, stores } = codec;
  const level = codec.level < 0 ? levelFor(run, windowBits, unit, into) : codec.level;
  if (level > 0) {
    const length = run(kind, { windowBits, level, memLevel: 9 }, unit, into);
    if (length >= 0 && length < unit.length) return length;
  }
  return stores ? run(kind, { windowBits, level: 0, memLevel: 9 }, unit, into) : -1;
}

/**
 * The level of deflate that suits a clusterSize; 0 where none would make it smaller. `into` is room to try.
 *
 * Level 9 alone finds repetitions of three bytes, which programs have many of and text has few: without it, they take
 * up to 4 % more than zlib makes of them.
 */
export function levelFor(run: Streams, windowBits: number, unit: Uint8Array, into: Uint8Array): number {
  const { random, text } = sampled(unit);
  if (!random) return text ? 6 : 9;
  // The longer the stretch without repetitions, the fewer are looked for: short parts for the near ones.
  const shrinks = anyShrinks(run, unit, 8192, into) || (windowBits > 13 && anyShrinks(run, unit, unit.length, into));
  return shrinks ? 9 : 0;
}

/**
 * Whether a part of a clusterSize, of `length` bytes each, gets smaller by what Zstandard does in a tenth of the time that
 * deflate takes. It gives up where it would save less than 1/64.
 */
export function anyShrinks(run: Streams, unit: Uint8Array, length: number, into: Uint8Array): boolean {
  for (let at = 0; at < unit.length; at += length) {
    const part = unit.subarray(at, at + length);
    // ZSTD_c_compressionLevel and ZSTD_c_minMatch (zstd.h): the quickest level, but with repetitions of 4 bytes.
    if (run("zstdCompress", { params: { 100: 1, 105: 4 } }, part, into) < part.length) return true;
  }
  return false;
}

/**
 * Options for units of `length` bytes. The tables of the usual level do not fit into the processor's caches, and units of
 * 64 KiB do not need them: with smaller ones it takes a sixth less time for 0.4 % more bytes at most.
 */
export function zstdOptions(level: number, length: number): StreamOptions {
  if (level > 0) return { params: { 100: level } };
  // ZSTD_c_compressionLevel, ZSTD_c_hashLog and ZSTD_c_chainLog.
  return { params: length <= 65536 ? { 100: 3, 102: 15, 103: 14 } : { 100: 3 } };
}

/** What about 2,000 bytes, evenly taken from a clusterSize, look like: evenly spread as random ones; mostly ASCII. */
export function sampled(unit: Uint8Array): { readonly random: boolean; readonly text: boolean } {
  // Odd, so that it meets all bytes of records whose length is a power of two.
  const step = unit.length >> 11 | 1;
  const counts = new Uint32Array(256);
  let samples = 0;
  let squares = 0;
  for (let at = 0; at < unit.length; at += step) {
    squares += 2 * counts[unit[at]]++ + 1;
    samples++;
  }
  let ascii = 0;
  for (let byte = 9; byte < 127; byte++) ascii += counts[byte];
  // Of random bytes, the squares add up to `samples + samples² / 256`, give or take 1 %; a saving of 1/64 is 18 % more.
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
export const inlineCompressor: Compressor = async (codec, unit) => {
  const into = new Uint8Array(compressBound(unit.length));
  const length = compressCluster(await ownStreams(), codec, unit, into);
  return length < 0 ? null : into.slice(0, length);
};
