/**
 * The contract between a format and the engine. A format states what an image holds and what a target can do; the engine
 * decides what to read, write and skip. A read-only format needs `probe` and `open`; everything else is optional.
 *
 * @module
 */
import type { Bitmap, BitmapWriter } from "./bitmaps.ts";
import type { Compressor } from "./codec/compress.ts";
import type { Decompressor } from "./codec/decompress.ts";
import type { Content } from "./content.ts";
import type { Extent, Location } from "./extent.ts";
import type { CompressedCluster, GuestReader, NamedFile } from "./guest_reader.ts";
import type { Maintenance } from "./maintenance.ts";
import type { MaybePromise } from "./maybe_promise.ts";
import type { OptionSpec, OptionValues } from "./options.ts";
import type { SnapshotChoice } from "./snapshots.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/**
 * One opened layer, read-only. It names its backing file and never opens it. All positions are guest bytes. It owns no
 * files: the engine closes the storage.
 */
export interface Disk {
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Guest bytes that the layer allocates at once (cluster, grain, block); 1 where it allocates single bytes. */
  readonly clusterSize: number;
  /**
   * Bytes of a logical sector, by which the guest addresses the disk and its partition table counts. Absent where the format
   * has none: the configuration of the virtual machine decides, and QEMU gives 512 unless it states another size.
   */
  readonly logicalSectorSize?: number;
  /** The backing file, as the image names it. */
  readonly backing: NamedFile | null;
  /** Identifies the image to overlays (UUID, content ID); absent where the format has none. */
  readonly id?: string;
  /** Values that `info` shows. */
  readonly info: FormatInfo;
  /**
   * Returns the extent that begins at `start` and ends at `limit` or before; it need not be maximal.
   * `start < limit <= size`. Looks up one table entry; returns no promise where that table is in memory.
   */
  extentAt(start: number, limit: number): MaybePromise<Extent>;
  /** Fills `into` from guest byte `start` on. The range lies within data extents of this layer. Calls may overlap. */
  read(into: Uint8Array, start: number): Promise<void>;
  /**
   * Returns the compressed bytes of the whole clusters that make up `[start, end)`, a range within compressed extents of
   * this layer. They are read into `room` as far as they fit. `null` where only {@linkcode read} can decompress them.
   * Calls may overlap.
   */
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
  /** Persistent dirty bitmaps, where the format has them. */
  readonly bitmaps?: readonly Bitmap[];
}

/** Information about an image: names and plain values, in the order of the output. */
export type FormatInfo = { readonly [name: string]: InfoValue };
/** A plain value, a list, or a group of named values. */
export type InfoValue = string | number | boolean | null | readonly InfoValue[] | FormatInfo;

/** Properties of a target by which the engine decides. */
export interface WriterTraits {
  /** Guest bytes. */
  readonly size: number;
  /** Guest bytes that the target allocates at once; 1 where it allocates single bytes. */
  readonly clusterSize: number;
  /** Granularity of the guest size in bytes: 512 for formats of sectors, 1 for raw. */
  readonly sector: number;
  /** As {@linkcode Disk.logicalSectorSize}. */
  readonly logicalSectorSize?: number;
  /** Whether the target takes only whole clusters (the last one may be short), and compresses each. */
  readonly compress: boolean;
  /** Whether writes must come at ascending positions. */
  readonly order: "any" | "ascending";
  /** Whether guest bytes that are never written read as zero. */
  readonly startsZeroed: boolean;
  /** Whether zeroes cost less than data of the same length. */
  readonly zeroes: "cheap" | "written";
}

/**
 * An image being written. All positions are guest bytes. It owns no files: the engine closes the storage. An image whose
 * writer was not finished is invalid.
 */
export interface DiskWriter {
  /** Properties by which the engine decides. */
  readonly traits: WriterTraits;
  /**
   * Writes all of `from` at `start`. Where `traits.compress` is set: whole clusters, and calls may overlap, so that many
   * clusters are compressed at once; a writer whose order is ascending appends them in the order of the calls.
   */
  write(from: Uint8Array, start: number): Promise<void>;
  /** As {@linkcode write}, for bytes of another file; absent where the bytes must pass through memory. */
  writeContent?(content: Content, start: number): Promise<void>;
  /**
   * Returns the fixed location of guest byte `start` and of those that follow. Bytes may be written there without this
   * writer; the caller then calls `noteWritten` of the storage. Absent where the writer allocates space as bytes come.
   */
  locationFor?(start: number): FixedLocation;
  /** Makes `[start, end)` read as zeroes, whatever the layer or its backing file holds there. */
  zero(start: number, end: number): Promise<void>;
  /** Adds bitmaps; absent where the image can have none. */
  readonly bitmaps?: BitmapWriter;
  /** Writes the remaining metadata. The image is valid only after this; the caller syncs. */
  finish(): Promise<void>;
}

/** The location of guest bytes of a target that allocates everything when it is created. */
export interface FixedLocation extends Location {
  /** The file. */
  readonly storage: WritableStorage;
  /** Guest byte after the last that is contiguous in the file. */
  readonly end: number;
}

/** A new image. */
export interface CreatePlan {
  /** Guest bytes; a format of sectors rounds up to its sector. */
  readonly size: number;
  /** Values of the format's {@linkcode Format.createOptions}. */
  readonly options: OptionValues;
  /** The backing file, as the image shall name it. */
  readonly backing: NamedFile | null;
  /** Whether clusters are to be compressed. */
  readonly compress: boolean;
  /** Bytes of a logical sector of the source, the default of a format that can have several sizes; absent: unknown. */
  readonly logicalSectorSize?: number;
}

/** Computes the file size of a new image. */
export interface Measure {
  /** Guest bytes that the image allocates at once. */
  readonly clusterSize: number;
  /**
   * Returns the bytes of the files.
   *
   * @param data guest bytes of all clusters that hold data
   * @param bitmaps bitmaps of the source; `null` where it cannot have any
   */
  sizeOf(data: number, bitmaps: readonly Bitmap[] | null): Measured;
}

/** Bytes that the files of an image take. */
export interface Measured {
  /** With the given data. */
  readonly required: number;
  /** With all clusters allocated. */
  readonly fullyAllocated: number;
  /** For bitmaps in addition, where there can be any. */
  readonly bitmaps?: number;
}

/** Services of the engine for {@linkcode Format.open}. */
export interface OpenContext {
  /** The internal snapshot to open instead of the current state. */
  readonly snapshot?: SnapshotChoice | undefined;
  /** Which field states the size of the disk, where the format has two; default: by the creator of the image. */
  readonly sizeRule?: "geometry" | "current" | undefined;
  /** Decompresses clusters, perhaps on other cores: a disk submits many before it waits. */
  readonly decompressor: Decompressor;
  /** Opens a further file that the image names (data file, extent file); the engine decides whether it may. */
  openNamed(file: NamedFile): Promise<Storage>;
  /** Called with what is wrong with the image although it can be read. */
  readonly onWarning?: (message: string) => void;
}

/** Services of the engine for {@linkcode Format.create}. */
export interface CreateContext {
  /** The file name of the finished image; absent where that is the name of its storage. */
  readonly name?: string;
  /** Creates a further file that the image is going to name; both get their names at the same time. */
  createNamed(name: string): Promise<WritableStorage>;
  /** The backing chain of the new image, if it has a backing file. */
  readonly backing: GuestReader | null;
  /** Compresses clusters, perhaps on other cores: a writer submits many before it waits. */
  readonly compressor: Compressor;
}

/** Services of the engine for {@linkcode Format.edit}. */
export interface EditContext {
  /** Whether clusters are to be compressed. */
  readonly compress: boolean;
  /** As in {@linkcode CreateContext}. */
  readonly compressor: Compressor;
  /** Opens a further file that the image names, for writing. */
  openNamed(file: NamedFile): Promise<WritableStorage>;
  /** Opens the backing chain; called at most once, and only for an image that has a backing file. */
  openBacking(backing: NamedFile): Promise<GuestReader>;
  /** Called before the image gets a new ID: before its first change, or when all else is written. */
  beforeNewId?(): Promise<void>;
}

/** The first 64 KiB and the last 4 KiB of a file (less where it is shorter), and its length. */
export interface Peek {
  /** From its first byte on. */
  readonly head: Uint8Array;
  /** Up to its last byte. */
  readonly tail: Uint8Array;
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * An image format: properties and verbs. The registry evaluates the properties of every format at start; a verb imports
 * its code when it is called, so that a program loads only the formats that it uses.
 */
export interface Format {
  /** As in `-f` and `-O`. */
  readonly name: string;
  /** For the user. */
  readonly title: string;
  /** File name endings, without the dot, the usual one first. */
  readonly extensions: readonly string[];
  /** Names of subformats: those that {@linkcode create} makes, and those that can only be read. */
  readonly subformats: { readonly written: readonly string[]; readonly read: readonly string[] };
  /** Guest bytes of the largest disk that {@linkcode create} makes with default options. */
  readonly maxSize: number;
  /** Features of its images. */
  readonly has: {
    /** Whether an image may name a backing file. */
    readonly backing: boolean;
    /** Whether {@linkcode create} makes images with a backing file. */
    readonly overlays: boolean;
    readonly compression: boolean;
    readonly snapshots: boolean;
    readonly bitmaps: boolean;
  };
  /** Guesses from bytes alone. */
  probe(peek: Peek): "yes" | "maybe" | "no";
  /** Opens an image for reading. The disk owns neither the storage nor the files that `openNamed` returned. */
  open(storage: Storage, context: OpenContext): Promise<Disk>;
  /** Options of {@linkcode create}. */
  readonly createOptions: readonly OptionSpec[];
  /** Computes the file size of a new image. Absent: the engine writes a trial image to measure it. Writes nothing. */
  measure?(plan: CreatePlan): Measure | Promise<Measure>;
  /** Throws `usage` for a plan that {@linkcode create} could not carry out. Runs before creating; writes nothing. */
  checkPlan?(plan: CreatePlan): void | Promise<void>;
  /** Starts a new image in empty storage. */
  create?(storage: WritableStorage, plan: CreatePlan, context: CreateContext): Promise<DiskWriter>;
  /** Opens an existing image for writing. */
  edit?(storage: WritableStorage, context: EditContext): Promise<DiskWriter>;
  /** Checks and changes of existing images, as far as the format supports them. */
  readonly maintenance?: Maintenance;
}
