/**
 * The inputs of reads of clusters: a mapping, the storage that it maps into, and the last decompressed clusters.
 *
 * @module
 */
import type { Decompressor } from "../../codec/decompress.ts";
import type { Storage } from "../../storage/types.ts";
import type { CompressionType } from "../header/types.ts";
import type { Mapping } from "../mapping/mapping.ts";

/** A mapping and the storage that it maps into. */
export interface ClusterSource {
  readonly mapping: Mapping;
  /** The image file. */
  readonly storage: Storage;
  /** Storage of uncompressed clusters: the image file, or the external data file. */
  readonly data: Storage;
  readonly compressionType: CompressionType;
  readonly decompressed: DecompressedClusters;
  /** Decompresses in workers, many clusters at once. */
  readonly decompress?: Decompressor | undefined;
}

/**
 * A cache of the last decompressed clusters, by guest offset: reading a cluster piece by piece decompresses it once.
 */
export interface DecompressedClusters {
  get(guestCluster: number): Uint8Array | undefined;
  set(guestCluster: number, bytes: Uint8Array): void;
}

/** 1 MiB is enough for reads in pieces; at least two clusters, for a reader that reads ahead. */
const DECOMPRESSED_BYTES = 1 << 20;

/** Returns an empty {@linkcode DecompressedClusters} for clusters of `clusterSize` bytes. */
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
