/**
 * Unpacking a unit of guest bytes: the counterpart of `packer.ts`.
 *
 * @module
 */
import type * as zlib from "node:zlib";

/** What a unit is packed with: a raw deflate stream (RFC 1951), a zlib stream (RFC 1950), or one Zstandard frame. */
export type PackedWith = "deflate" | "zlib" | "zstd";

/**
 * Unpacks one unit into `into`; false where the stream is damaged or does not give exactly `into.length` bytes. What
 * follows a deflate or zlib stream is ignored; a Zstandard frame must end where `packed` ends.
 */
export type Unpacker = (codec: PackedWith, packed: Uint8Array, into: Uint8Array) => Promise<boolean>;

/**
 * Unpacks one unit here and now. Stands alone, without a name from outside, because workers run its text.
 *
 * @example
 * ```ts
 * import { unpackUnit } from "./unpacker.ts";
 * import * as zlib from "node:zlib";
 * import assert from "node:assert/strict";
 *
 * const unit = new Uint8Array(65536).fill(7);
 * const into = new Uint8Array(65536);
 * assert.equal(unpackUnit(zlib, "deflate", zlib.deflateRawSync(unit), into), true);
 * assert.deepEqual(into, unit);
 * assert.equal(unpackUnit(zlib, "deflate", new Uint8Array(3), into), false);
 * ```
 */
export function unpackUnit(
  { constants, inflateRawSync, inflateSync, zstdDecompressSync }: typeof zlib,
  codec: PackedWith,
  packed: Uint8Array,
  into: Uint8Array,
): boolean {
  const limit = { maxOutputLength: into.length };
  // A flush mode of "sync" gives what there is when the input ends early: then the length tells.
  const early = { ...limit, finishFlush: constants.Z_SYNC_FLUSH };
  try {
    const unit = codec === "deflate"
      ? inflateRawSync(packed, early)
      : codec === "zlib"
      ? inflateSync(packed, early)
      : zstdDecompressSync(packed, limit);
    if (unit.length !== into.length) return false;
    into.set(unit);
    return true;
  } catch {
    return false;
  }
}

/** Loaded with the first unit: few programs pack or unpack in this thread, and loading it takes a while. */
let loaded: typeof zlib | undefined;

/** Unpacks in this thread. */
export const inlineUnpacker: Unpacker = async (codec, packed, into) =>
  unpackUnit(loaded ??= await import("node:zlib"), codec, packed, into);
