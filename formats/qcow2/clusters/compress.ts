/**
 * Compression of clusters (specification, `compression_type`).
 *
 * @module
 */
import type { Codec, Compressor } from "../../codec/compress.ts";
import type { CompressionType } from "../header/types.ts";

/** Returns the codec of a compression type. QEMU inflates with a window of 4 KiB, so deflate uses 12 bits. */
export function codecOf(type: CompressionType): Codec {
  return type === "zstd" ? { name: "zstd", level: -1 } : { name: "deflate", windowBits: 12, level: -1 };
}

/** Compresses one whole cluster. Returns null if that does not make it smaller. */
export type CompressCluster = (cluster: Uint8Array) => Promise<Uint8Array | null>;

/**
 * Returns the compression of an image of this type, done by `compressor`.
 *
 * @example
 * ```ts
 * import { compressionOf } from "./compress.ts";
 * import { inlineCompressor } from "../../codec/compress.ts";
 * import { decompressCluster } from "./decompress.ts";
 * import assert from "node:assert/strict";
 *
 * const cluster = new Uint8Array(65536).fill(7);
 * const compressed = await compressionOf("zlib", inlineCompressor)(cluster);
 * assert.ok(compressed !== null && compressed.length < 200);
 * assert.deepEqual([...decompressCluster(compressed, "zlib", 65536, "the cluster", "a.qcow2")], [...cluster]);
 * ```
 */
export function compressionOf(type: CompressionType, compressor: Compressor): CompressCluster {
  const codec = codecOf(type);
  return (cluster) => compressor(codec, cluster);
}
