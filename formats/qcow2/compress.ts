/**
 * Packing of clusters (specification, `compression_type`). Pure, so that workers can call it.
 *
 * @module
 */
import { constants, deflateRawSync, zstdCompressSync } from "node:zlib";
import type { CompressionType } from "./header_types.ts";

/**
 * The packed form of `unit`, or null if that is not smaller.
 *
 * @param unit one whole cluster
 *
 * @example
 * ```ts
 * import { pack } from "./compress.ts";
 * import { unpackCluster } from "./unpack.ts";
 * import assert from "node:assert/strict";
 *
 * const unit = new Uint8Array(65536).fill(7);
 * const packed = pack(unit, "zlib");
 * assert.ok(packed !== null && packed.length < 200);
 * assert.deepEqual(unpackCluster(packed, "zlib", 65536, "the cluster", "a.qcow2"), unit);
 * ```
 */
export function pack(unit: Uint8Array, codec: CompressionType): Uint8Array | null {
  const packed = codec === "zstd" ? zstdCompressSync(unit) : deflateRawSync(unit, DEFLATE);
  return packed.length < unit.length ? packed : null;
}

/** Readers expect a window of 4 KiB, and inflate with no larger one. */
const DEFLATE = { windowBits: 12, memLevel: 9, level: constants.Z_DEFAULT_COMPRESSION } as const;
