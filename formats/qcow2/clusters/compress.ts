/**
 * How clusters are packed (specification, `compression_type`).
 *
 * @module
 */
import { type Codec, inlinePacker, type Packer } from "../../codec/compress.ts";
import type { CompressionType } from "../header/types.ts";

/** What `compression_type` means. Readers inflate with a window of 4 KiB and no more. */
export function codecOf(type: CompressionType): Codec {
  return type === "zstd" ? { name: "zstd", level: -1 } : { name: "deflate", windowBits: 12, level: -1 };
}

/** Packs one whole cluster, here or elsewhere; null if that does not make it smaller. */
export type PackUnit = (unit: Uint8Array) => Promise<Uint8Array | null>;

/**
 * Packing for an image of this compression type; by `packer` where the engine has handed in one.
 *
 * @example
 * ```ts
 * import { packingOf } from "./compress.ts";
 * import { unpackCluster } from "./decompress.ts";
 * import assert from "node:assert/strict";
 *
 * const unit = new Uint8Array(65536).fill(7);
 * const packed = await packingOf("zlib", undefined)(unit);
 * assert.ok(packed !== null && packed.length < 200);
 * assert.deepEqual([...unpackCluster(packed, "zlib", 65536, "the cluster", "a.qcow2")], [...unit]);
 * ```
 */
export function packingOf(type: CompressionType, packer: Packer | undefined): PackUnit {
  const codec = codecOf(type);
  return (unit) => (packer ?? inlinePacker)(codec, unit);
}
