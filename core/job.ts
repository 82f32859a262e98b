/**
 * The job of a conversion. Plain data; the command line, the wizard and callers of the library all create one.
 *
 * @module
 */
import type { Files, Format, SnapshotChoice } from "../formats/mod.ts";
import type { ConvertEvent } from "./events.ts";
import type { WorkerIo } from "./workers/worker_io.ts";
import type { CodecPool } from "./workers/codec_pool.ts";

/** An image to open. Offsets and sizes are file bytes. */
export interface ImageSpec {
  /** The file or device. */
  readonly path: string;
  /** Name of its format; guessed from its bytes where absent. */
  readonly format?: string;
  /** File offset at which the image starts. Default 0. */
  readonly offset?: number;
  /** Bytes of the file that belong to the image. Default: to the end of the file. */
  readonly size?: number;
  /**
   * Which field states the size of the disk, where the format has two that may differ (VHD). Default: by the program that
   * created the image.
   */
  readonly sizeRule?: "geometry" | "current" | undefined;
  /** Opened in place of the backing file that the image names; `null`: none is opened. */
  readonly backing?: ImageSpec | null;
  /** Opened in place of the data file that the image names. */
  readonly dataFile?: string;
  /** An internal snapshot, read instead of the current state. */
  readonly snapshot?: SnapshotChoice;
}

/** When data is synced. */
export type SyncMode =
  /** Once: data and metadata are on stable storage when the job succeeds. */
  | "finish"
  /** As `finish`, and after every write. */
  | "always"
  /** Never. */
  | "never";

/** The image to write. */
export interface TargetSpec {
  /** The file or device. */
  readonly path: string;
  /** Name of the format; with `create: false` guessed from the file where absent. */
  readonly format: string | undefined;
  /** Creation options as given by a user: text, or already typed. */
  readonly options?: { readonly [name: string]: string | number | boolean };
  /** The backing file of the new image. */
  readonly backing?: { readonly path: string; readonly format?: string };
  /** Whether to compress clusters (`-c`). */
  readonly compress?: boolean;
  /** `false`: write into the existing image. Default true. */
  readonly create?: boolean;
  /** With `create: false`: the caller states that the target reads as zeroes. */
  readonly isZero?: boolean;
  /** With `create: false`: file offset at which the image starts. Default 0. */
  readonly offset?: number;
  /** With `create: false`: bytes of the file that belong to the image. Default: to the end of the file. */
  readonly size?: number;
  /** Opened in place of the backing file that the existing target names; `null`: none is opened. */
  readonly backingOfExisting?: ImageSpec | null;
  /**
   * Guest bytes of a new target, at least those of its sources: zeroes are added at the end. Where that makes the disk
   * longer, the backup of its GUID partition table moves to the new end. Default: as long as the sources.
   */
  readonly guestSize?: number | SizeRule;
}

/** The size of a new disk, from the size of its sources. All in bytes. */
export interface SizeRule {
  /** The size is rounded up to a multiple of this. */
  readonly multipleOf?: number;
  /** The smallest size. */
  readonly least?: number;
  /** The largest size: a longer disk is refused before anything is written. */
  readonly most?: number;
}

/**
 * A digest of guest bytes. `sha256`: the SHA-256 of all bytes. `blocks-sha256`: the SHA-256 of a list, which has the SHA-256
 * digests (32 bytes each) of all blocks of 65,536 guest bytes, the last of which may be shorter, and then the number of
 * guest bytes, as 8 bytes with the least significant first. It is computed on all processors, and zero blocks cost nothing.
 */
export type DigestAlgorithm = "sha256" | "blocks-sha256";

/** A conversion. */
export interface ConvertJob {
  /** Concatenated in this order; at least one. */
  readonly sources: readonly ImageSpec[];
  /** The image to write. */
  readonly target: TargetSpec;
  /** Fewest bytes of zeroes inside data that become a hole; 0: every byte is written. Default 4096. */
  readonly sparseSize?: number;
  /** Most bytes a second that are written to the target, on average; 0: no limit. */
  readonly rateLimit?: number;
  /** Convert only these guest bytes of the sources. Bytes past the end of the sources are left out. */
  readonly range?: { readonly start: number; readonly length?: number };
  /**
   * Whether to hash the converted guest bytes in the same pass, and how; true: `sha256`. Bytes that stay in a backing file
   * are read for it.
   */
  readonly digest?: boolean | DigestAlgorithm;
  /** Whether the host copies data that both files store uncompressed, where it can; zeroes in such data are not detected. */
  readonly offload?: boolean;
  /** Whether unreadable ranges become zeroes. */
  readonly salvage?: boolean;
  /**
   * Whether the disk may get another logical sector size although its partition table or a file system may count by it.
   * Default: such a conversion is refused.
   */
  readonly allowSectorSizeChange?: boolean;
  /**
   * Whether a GPT that counts in sectors of another size than those of the target is written anew for them (512 bytes where
   * the format of the target states none). File systems in the partitions stay as they are.
   */
  readonly convertGpt?: boolean;
  /** Whether to copy persistent bitmaps; `skip-broken`: leave out those that cannot be trusted. */
  readonly bitmaps?: boolean | "skip-broken";
  /** Whether the sources are opened without locks. */
  readonly forceShare?: boolean;
  /** Whether a block device is written although it is mounted or otherwise in use: what is on it is lost. */
  readonly forceDevice?: boolean;
  /** Default `finish`. */
  readonly sync?: SyncMode;
  /** Most workers that compress, decompress or copy; 1: none. Default: one per processor. */
  readonly workers?: number;
  /** Compression level: 1 to 9 for zlib, 1 to 22 for zstd. Default: that of the codec in the format. */
  readonly compressionLevel?: number;
  /** Further folders from which files that images name may be opened. */
  readonly allowRefs?: readonly string[];
}

/** Callbacks and other context of a job. */
export interface ConvertContext {
  /** Called with each event, in order; must not throw. */
  readonly onEvent?: (event: ConvertEvent) => void;
  /** Cancels the job: it fails with `cancelled`, and its new files are removed. */
  readonly signal?: AbortSignal;
  /** Called often; returns `null`, or a promise that the job awaits before it continues. */
  readonly paused?: () => Promise<void> | null;
  /** Default: all formats. */
  readonly formats?: readonly Format[];
  /** Access to files. Default: files of the host, through Deno. */
  readonly files?: Files;
  /**
   * Compresses and decompresses, instead of workers of the job. Disposed with the job.
   *
   * @internal
   */
  readonly pool?: CodecPool;
  /**
   * Workers that copy, instead of workers of the job. Disposed with the job.
   *
   * @internal
   */
  readonly workerIo?: WorkerIo;
}
