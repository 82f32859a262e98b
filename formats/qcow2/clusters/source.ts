/**
 * What reading of clusters needs: a mapping, the storage that it maps into, and the last decompressed clusters.
 *
 * @module
 */
import type { Decompressor } from "../../codec/decompress.ts";
import type { Storage } from "../../storage/types.ts";
import type { CompressionType } from "../header/types.ts";
import type { Mapping } from "../mapping/mapping.ts";

/** A mapping with the bytes that it maps to. */
export interface ClusterSource {
  readonly mapping: Mapping;
  /** The image file. */
  readonly storage: Storage;
  /** Where uncompressed clusters lie: the image file, or the external data file. */
  readonly data: Storage;
  readonly compressionType: CompressionType;
  readonly decompressed: DecompressedClusters;
  /** Decompresses elsewhere, many at once. */
  readonly decompress?: Decompressor | undefined;
}

/** The last few decompressed clusters, by guest offset, so that reading a cluster piece by piece decompresses it once. */
export interface DecompressedClusters {
  get(guestCluster: number): Uint8Array | undefined;
  set(guestCluster: number, bytes: Uint8Array): void;
}

/** Two clusters for a reader that runs ahead, and more of small ones: 1 MiB is the most that reading in pieces needs. */
const DECOMPRESSED_BYTES = 1 << 20;

/** An empty {@linkcode DecompressedClusters} for clusters of `clusterSize` bytes. */
export function decompressedClusters(clusterSize: number): DecompressedClusters {
  const most = Math.max(2, Math.floor(DECOMPRESSED_BYTES / clusterSize));
  const clusters = new Map<number, Uint8Array>();
  return {
    get: (guestCluster) => clusters.get(guestCluster),
    set(guestCluster, bytes) {
      clusters.set(guestCluster, bytes);
      if (clusters.size <= most) return;
      const oldest = clusters.keys().next().value;
      if (oldest !== undefined) clusters.delete(oldest);
    },
  };
}
