/**
 * Decompression of clusters (specification, "Compressed Clusters Descriptor" and `compression_type`). Pure.
 *
 * @module
 */
import { constants, inflateRawSync, zstdDecompressSync } from "node:zlib";
import { corrupt, ImageError } from "../../errors.ts";
import type { CompressionType } from "../header/types.ts";
import { zstdFrameLength } from "./zstd_frames.ts";

/**
 * Decompresses one cluster. Bytes after the stream are ignored.
 *
 * @param compressed bytes from the start of the stream on
 * @param what names the cluster in messages
 * @param guest guest offset of the cluster, if the first bytes of one that is cut off are of use
 * @throws ImageError `corrupt` where the stream is damaged or does not give exactly `clusterSize` bytes
 */
export function decompressCluster(
  compressed: Uint8Array,
  type: CompressionType,
  clusterSize: number,
  what: string,
  label: string,
  guest?: number,
): Uint8Array {
  let cluster: Uint8Array;
  try {
    cluster = type === "zlib" ? inflate(compressed, clusterSize) : decompressZstd(compressed, clusterSize);
  } catch (cause) {
    const error = corrupt(`Cannot decompress ${what} of "${label}": ${reason(cause, clusterSize)}`, label);
    error.cause = cause;
    throw error;
  }
  if (cluster.length !== clusterSize) {
    const message = `Cannot decompress ${what} of "${label}": it gives ${cluster.length} bytes, must be ${clusterSize}`;
    const prefix = guest === undefined ? undefined : { start: guest, bytes: cluster };
    throw new ImageError("corrupt", message, { path: label, prefix });
  }
  // A plain Uint8Array, because a Buffer compares unequal to one with the same bytes.
  return new Uint8Array(cluster.buffer, cluster.byteOffset, cluster.length);
}

function reason(cause: unknown, clusterSize: number): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ERR_BUFFER_TOO_LARGE") return `it gives more than the ${clusterSize} bytes of a cluster`;
  return "the stream is damaged";
}

/** Writers use a window of 12 bits. The default window, the largest, decompresses those and all others. */
function inflate(compressed: Uint8Array, clusterSize: number): Uint8Array {
  // With this flush mode, input that ends early gives a short result instead of an error; the caller checks the length.
  return inflateRawSync(compressed, { maxOutputLength: clusterSize, finishFlush: constants.Z_SYNC_FLUSH });
}

function decompressZstd(compressed: Uint8Array, clusterSize: number): Uint8Array {
  let cluster: Uint8Array = new Uint8Array(0);
  let at = 0;
  while (cluster.length < clusterSize) {
    const length = zstdFrameLength(compressed, at);
    if (length === null) break;
    const part = zstdDecompressSync(compressed.subarray(at, at + length), {
      maxOutputLength: clusterSize - cluster.length,
    });
    at += length;
    cluster = cluster.length === 0 ? part : joined(cluster, part);
  }
  return cluster;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
