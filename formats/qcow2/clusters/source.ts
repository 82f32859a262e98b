/**
 * The inputs of reads of clusters: a mapping, the storage that it maps into, and the last decompressed clusters.
 *
 * @module
 */
import type { Decompressor } from "../../codec/decompress.ts";
import { type LruCache, lruCache } from "../../shared/lru_cache.ts";
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
  /** Reads from {@linkcode data}. */
  readonly readData: (storage: Storage, into: Uint8Array, fileOffset: number) => Promise<void>;
  readonly compressionType: CompressionType;
  /** The last decompressed clusters, by guest offset. */
  readonly decompressed: LruCache<Uint8Array>;
  /** Decompresses whole clusters, perhaps in workers, many at once. */
  readonly decompress: Decompressor;
}

/** 1 MiB is enough for reads in pieces; at least two clusters, for a reader that reads ahead. */
const DECOMPRESSED_BYTES = 1 << 20;

/**
 * Returns an empty cache of decompressed clusters by guest offset: reading a cluster piece by piece decompresses it once.
 */
export function decompressedClusters(clusterSize: number): LruCache<Uint8Array> {
  return lruCache(() => clusterSize, Math.max(2 * clusterSize, DECOMPRESSED_BYTES));
}
