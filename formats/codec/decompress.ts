/**
 * Decompressing a unit of guest bytes: the counterpart of `compressor.ts`.
 *
 * @module
 */
import { ownStreams, type Streams } from "./zlib_streams.ts";

/** What a unit is compressed with: a raw deflate stream (RFC 1951), a zlib stream (RFC 1950), or one Zstandard frame. */
export type DecompressCodec = "deflate" | "zlib" | "zstd";

/**
 * Decompresses one unit into `into`; false where the stream is damaged or does not give exactly `into.length` bytes. What
 * follows a deflate or zlib stream is ignored; a Zstandard frame must end where `compressed` ends.
 */
export type Decompressor = (codec: DecompressCodec, compressed: Uint8Array, into: Uint8Array) => Promise<boolean>;

/** Decompresses one unit here and now. Stands alone, without a name from outside, because workers run its text. */
export function decompressCluster(
  run: Streams,
  codec: DecompressCodec,
  compressed: Uint8Array,
  into: Uint8Array,
): boolean {
  const kind = codec === "deflate" ? "inflateRaw" : codec === "zlib" ? "inflate" : "zstdDecompress";
  return run(kind, {}, compressed, into) === into.length;
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
 * const unit = new Uint8Array(65536).fill(7);
 * const into = new Uint8Array(65536);
 * assert.equal(await inlineDecompressor("deflate", zlib.deflateRawSync(unit), into), true);
 * assert.deepEqual(into, unit);
 * assert.equal(await inlineDecompressor("deflate", new Uint8Array(3), into), false);
 * ```
 */
export const inlineDecompressor: Decompressor = async (codec, compressed, into) =>
  decompressCluster(await ownStreams(), codec, compressed, into);
