/**
 * How clusters are compressed (specification, `compression_type`).
 *
 * @module
 */
import { type Codec, type Compressor, inlineCompressor } from "../../codec/compress.ts";
import type { CompressionType } from "../header/types.ts";

/** What `compression_type` means. Readers inflate with a window of 4 KiB and no more. */
export function codecOf(type: CompressionType): Codec {
  return type === "zstd" ? { name: "zstd", level: -1 } : { name: "deflate", windowBits: 12, level: -1 };
}

/** Compresses one whole cluster, here or elsewhere; null if that does not make it smaller. */
export type CompressCluster = (cluster: Uint8Array) => Promise<Uint8Array | null>;

/**
 * Compressing for an image of this compression type; by `compressor` where the engine has handed in one.
 *
 * @example
 * ```ts
 * import { compressionOf } from "./compress.ts";
 * import { decompressCluster } from "./decompress.ts";
 * import assert from "node:assert/strict";
 *
 * const clusterSize = new Uint8Array(65536).fill(7);
 * const compressed = await compressionOf("zlib", undefined)(clusterSize);
 * assert.ok(compressed !== null && compressed.length < 200);
 * assert.deepEqual([...decompressCluster(compressed, "zlib", 65536, "the cluster", "a.qcow2")], [...clusterSize]);
 * ```
 */
export function compressionOf(type: CompressionType, compressor: Compressor | undefined): CompressCluster {
  const codec = codecOf(type);
  return (cluster) => (compressor ?? inlineCompressor)(codec, cluster);
}
