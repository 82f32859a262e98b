/**
 * Packing a unit of guest bytes: what a format asks for, and the plain way to do it. The engine may hand in another way
 * that does the same on other cores.
 *
 * @module
 */
import type * as zlib from "node:zlib";

/** How to pack. Plain data, so that it can be sent to a worker. */
export type Codec =
  /** A raw deflate stream (RFC 1951). `windowBits`: 9 to 15; `level`: 1 to 9, -1 for zlib's own choice. */
  | { readonly name: "deflate"; readonly windowBits: number; readonly level: number }
  /** A zlib stream (RFC 1950). `windowBits`, `level`: as above. */
  | { readonly name: "zlib"; readonly windowBits: number; readonly level: number }
  /** One Zstandard frame (RFC 8878). `level`: 1 to 22. */
  | { readonly name: "zstd"; readonly level: number };

/** Packs one unit; `null` where that does not make it smaller. The result is the caller's to keep. */
export type Packer = (codec: Codec, unit: Uint8Array) => Promise<Uint8Array | null>;

/**
 * Packs one unit here and now. Stands alone, without a name from outside, because workers run its text.
 *
 * @example
 * ```ts
 * import { packUnit } from "./packer.ts";
 * import * as zlib from "node:zlib";
 * import assert from "node:assert/strict";
 *
 * const codec = { name: "deflate", windowBits: 12, level: -1 } as const;
 * const packed = packUnit(zlib, codec, new Uint8Array(65536));
 * assert.ok(packed && packed.length < 500);
 * assert.equal(packUnit(zlib, codec, new Uint8Array(1)), null);
 * ```
 */
export function packUnit(
  { constants, deflateRawSync, deflateSync, zstdCompressSync }: typeof zlib,
  codec: Codec,
  unit: Uint8Array,
): Uint8Array | null {
  const packed = codec.name === "zstd"
    ? zstdCompressSync(unit, { params: { [constants.ZSTD_c_compressionLevel]: codec.level } })
    : (codec.name === "zlib" ? deflateSync : deflateRawSync)(unit, {
      windowBits: codec.windowBits,
      level: codec.level,
      memLevel: 9,
    });
  return packed.length < unit.length ? packed : null;
}

/** Loaded with the first unit: few programs pack or unpack in this thread, and loading it takes a while. */
let loaded: typeof zlib | undefined;

/** Packs in this thread. */
export const inlinePacker: Packer = async (codec, unit) => packUnit(loaded ??= await import("node:zlib"), codec, unit);
