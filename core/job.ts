/**
 * The job: what is to be converted into what. Plain data; the command line, the wizard and a library caller all make one.
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
  /** Where in the file the image begins. */
  readonly offset?: number;
  /** How many bytes of the file belong to the image. */
  readonly size?: number;
  /** Stands in for the backing file that the image names; `null`: none. */
  readonly backing?: ImageSpec | null;
  /** Stands in for the data file that the image names. */
  readonly dataFile?: string;
  /** An internal snapshot instead of the current state. */
  readonly snapshot?: SnapshotChoice;
}

/** When written data counts as written. */
export type SyncMode =
  /** Data and metadata are on stable storage when the job ends well. */
  | "finish"
  /** As `finish`, and after every write. */
  | "always"
  /** Never asked for. */
  | "never";

/** The image to write. */
export interface TargetSpec {
  /** The file or device. */
  readonly path: string;
  /** Name of the format; with `create: false` guessed from the file where absent. */
  readonly format: string | undefined;
  /** Creation options as given by a user: text, or already typed. */
  readonly options?: { readonly [name: string]: string | number | boolean };
  /** The file that stays beneath the new image. */
  readonly backing?: { readonly path: string; readonly format?: string };
  /** Compress units (`-c`). */
  readonly compress?: boolean;
  /** `false`: write into the existing image. Default true. */
  readonly create?: boolean;
  /** With `create: false`: the caller knows that the target reads as zeroes. */
  readonly isZero?: boolean;
  /** Where in the file the image begins and how long it is; with `create: false`. */
  readonly offset?: number;
  /** Its length in bytes; absent: to the end of the file. */
  readonly size?: number;
  /** Stands in for the backing file that the existing target names. */
  readonly backingOfExisting?: ImageSpec | null;
  /**
   * Guest bytes of a new target, at least those of its sources: zeroes are added at the end. Where that makes the disk
   * longer, the backup of its GUID partition table moves to the new end. Default: as long as the sources.
   */
  readonly guestSize?: number | SizeRule;
}

/** How long a new disk is to be, from the length of its sources. All in bytes. */
export interface SizeRule {
  /** A whole multiple of this. */
  readonly multipleOf?: number;
  /** The smallest size, in bytes. */
  readonly least?: number;
  /** A longer disk is refused before anything is written. */
  readonly most?: number;
}

/** A whole conversion. Several sources are taken end to end. */
export interface ConvertJob {
  /** Taken end to end, in this order; at least one. */
  readonly sources: readonly ImageSpec[];
  /** What is written. */
  readonly target: TargetSpec;
  /** Least length in bytes of zeroes that become a hole; 0: every byte is written. Default 4096. */
  readonly sparseSize?: number;
  /** Bytes a second, on average, written to the target; 0: no limit. */
  readonly rateLimit?: number;
  /** Take only these guest bytes of the sources; what lies past their end is left out. */
  readonly range?: { readonly start: number; readonly length?: number };
  /** Hash the guest bytes that are converted, in the same pass; what stays in a backing file is read for it. */
  readonly digest?: boolean;
  /** Data that lie plainly in both files are copied by the host where it can, and zeroes in them are not looked for. */
  readonly offload?: boolean;
  /** Unreadable parts become zeroes. */
  readonly salvage?: boolean;
  /** Copy persistent bitmaps; `skip-broken`: leave out those that cannot be trusted. */
  readonly bitmaps?: boolean | "skip-broken";
  /** Do not ask for locks on the sources. */
  readonly forceShare?: boolean;
  /** Default `finish`. */
  readonly sync?: SyncMode;
  /** How many workers at most, that compress, decompress or copy; 1: none. Default: as many as processors. */
  readonly workers?: number;
  /** How hard to compress: 1 to 9 for zlib, 1 to 22 for zstd. Default: what the format is usually compressed with. */
  readonly compressionLevel?: number;
  /** Further folders in which files named by images may lie. */
  readonly allowRefs?: readonly string[];
}

/** What a caller hands to a job besides its data. */
export interface ConvertContext {
  /** Hears what happens, in the order in which it happens; must not throw. */
  readonly onEvent?: (event: ConvertEvent) => void;
  /** Ends the job: it fails with `cancelled`, and what it had begun is removed. */
  readonly signal?: AbortSignal;
  /** Asked often: `null` to go on, or a promise that is awaited before the job goes on. */
  readonly paused?: () => Promise<void> | null;
  /** Default: all that this program knows. */
  readonly formats?: readonly Format[];
  /** How files are reached. Default: the host's files, through Deno. */
  readonly files?: Files;
  /**
   * What compress and decompresses, instead of the job's own workers; ended with the job.
   *
   * @internal
   */
  readonly pool?: CodecPool;
  /**
   * What copies by itself, instead of the job's own workers; ended with the job.
   *
   * @internal
   */
  readonly workerIo?: WorkerIo;
}
