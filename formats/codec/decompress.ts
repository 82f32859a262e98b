/**
 * Unpacking a unit of guest bytes: the counterpart of `packer.ts`.
 *
 * @module
 */
import { ownStreams, type Streams } from "./zlib_streams.ts";

/** What a unit is packed with: a raw deflate stream (RFC 1951), a zlib stream (RFC 1950), or one Zstandard frame. */
export type PackedWith = "deflate" | "zlib" | "zstd";

/**
 * Unpacks one unit into `into`; false where the stream is damaged or does not give exactly `into.length` bytes. What
 * follows a deflate or zlib stream is ignored; a Zstandard frame must end where `packed` ends.
 */
export type Unpacker = (codec: PackedWith, packed: Uint8Array, into: Uint8Array) => Promise<boolean>;

/** Unpacks one unit here and now. Stands alone, without a name from outside, because workers run its text. */
export function unpackUnit(run: Streams, codec: PackedWith, packed: Uint8Array, into: Uint8Array): boolean {
  const kind = codec === "deflate" ? "inflateRaw" : codec === "zlib" ? "inflate" : "zstdDecompress";
  return run(kind, {}, packed, into) === into.length;
}

/**
 * Unpacks in this thread.
 *
 * @example
 * ```ts
 * import { inlineUnpacker } from "./decompress.ts";
 * import * as zlib from "node:zlib";
 * import assert from "node:assert/strict";
 *
 * const unit = new Uint8Array(65536).fill(7);
 * const into = new Uint8Array(65536);
 * assert.equal(await inlineUnpacker("deflate", zlib.deflateRawSync(unit), into), true);
 * assert.deepEqual(into, unit);
 * assert.equal(await inlineUnpacker("deflate", new Uint8Array(3), into), false);
 * ```
 */
export const inlineUnpacker: Unpacker = async (codec, packed, into) =>
  unpackUnit(await ownStreams(), codec, packed, into);
