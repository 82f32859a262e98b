/**
 * Guest bytes with all layers of a backing chain merged, and the file names by which images refer to other files.
 *
 * @module
 */
import type { DecompressCodec } from "./codec/decompress.ts";
import type { Extent } from "./extent.ts";
import type { MaybePromise } from "./maybe_promise.ts";

/** Reads guest bytes, all layers together. */
export interface GuestReader {
  /** Guest bytes. */
  readonly size: number;
  /** The greatest cluster size of the layers, in bytes: compressed data is best read in multiples of it. */
  readonly clusterSize: number;
  /** Returns the extent at `start`, which ends at `limit` at the latest. */
  extentAt(start: number, limit: number): MaybePromise<Extent>;
  /** Fills `into` from guest byte `start` on, whatever the status of the range; zeroes past the end of the disk. */
  read(into: Uint8Array, start: number): Promise<void>;
  /** As {@linkcode Disk.readCompressed}; `null` also where `[start, end)` is not compressed in one single layer. */
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
}

/** A cluster of guest bytes, compressed, as the file holds it. */
export interface CompressedCluster {
  /** Its compression. */
  readonly codec: DecompressCodec;
  /** The compressed bytes. */
  readonly bytes: Uint8Array;
  /** Bytes after decompression. */
  readonly length: number;
}

/** A file that an image names. */
export interface NamedFile {
  /** The name as the image states it; empty where the image states only the {@linkcode id} of the file. */
  readonly name: string;
  /** Further names that the image states for the file, best first. */
  readonly others?: readonly string[];
  /** Format name as registered; absent where the image does not state it. */
  readonly format?: string | undefined;
  /** The `id` that the image in the file must have; absent where the image states none. */
  readonly id?: string;
  /** Further IDs that the image accepts. */
  readonly otherIds?: readonly string[];
}
