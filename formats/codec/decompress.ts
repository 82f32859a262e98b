/**
 * Decompression of clusters: the counterpart of `compress.ts`.
 *
 * @module
 */
import { ownStreams, type Streams } from "./zlib_streams.ts";

/** The compression of a cluster: a raw deflate stream (RFC 1951), a zlib stream (RFC 1950), or one Zstandard frame. */
export type DecompressCodec = "deflate" | "zlib" | "zstd";

/**
 * Decompresses one cluster into `into`. Returns false where the stream is damaged, or does not have exactly `into.length`
 * bytes. Bytes after a deflate or zlib stream are ignored; a Zstandard frame must end where `compressed` ends.
 */
export type Decompressor = (codec: DecompressCodec, compressed: Uint8Array, into: Uint8Array) => Promise<boolean>;

/** As {@linkcode Decompressor}, synchronously. */
export function decompressCluster(
  streams: Streams,
  codec: DecompressCodec,
  compressed: Uint8Array,
  into: Uint8Array,
): boolean {
  const type = codec === "deflate" ? "inflateRaw" : codec === "zlib" ? "inflate" : "zstdDecompress";
  return streams(type, {}, compressed, into) === into.length;
}

/**
 * Decompresses in this thread.
 *
 * @example
 * ```ts
 * import { inlineDecompressor } from "./decompress.ts";
 * import * as zlib from "node:zlib";
 * import assert from "node:assert/strict";
 *
 * const cluster = new Uint8Array(65536).fill(7);
 * const into = new Uint8Array(65536);
 * assert.equal(await inlineDecompressor("deflate", zlib.deflateRawSync(cluster), into), true);
 * assert.deepEqual(into, cluster);
 * assert.equal(await inlineDecompressor("deflate", new Uint8Array(3), into), false);
 * ```
 */
export const inlineDecompressor: Decompressor = async (codec, compressed, into) =>
  decompressCluster(await ownStreams(), codec, compressed, into);
