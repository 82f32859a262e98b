/**
 * What a format must say, and nothing it need not. A format states info and traits; the engine decides.
 *
 * @module
 */
import type { Content } from "./content.ts";
import type { Maintenance } from "./maintenance.ts";
import type { MaybePromise } from "./maybe_promise.ts";
import type { Compressor } from "./codec/compress.ts";
import type { Extent, Location } from "./extent.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";
import type { DecompressCodec, Decompressor } from "./codec/decompress.ts";

/** One opened layer, read-only. It never opens what is beneath it. All positions are guest bytes. */
export interface Disk extends AsyncDisposable {
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Bytes that it allocates at once (cluster, grain, block); 1 where it has no such clusterSize. */
  readonly clusterSize: number;
  /** The file beneath, as the image names it. */
  readonly backing: NamedFile | null;
  /** By which images above name it besides its file name (UUID, content ID); absent where the format has none. */
  readonly id?: string;
  /** What `info` shows. */
  readonly info: FormatInfo;
  /**
   * The run that begins at `start` and ends at `limit` or before; it need not be maximal. `start < limit <= size`.
   * Costs one table look-up, which needs no waiting where the table is at hand.
   */
  extentAt(start: number, limit: number): MaybePromise<Extent>;
  /** Fills `into` from `start` on. The range lies within data runs of this layer. Calls may overlap. */
  read(into: Uint8Array, start: number): Promise<void>;
  /**
   * Reads the whole units that make up `[start, end)`, which lies within compressed runs of this layer, as they are, into
   * `room` as far as they fit. `null` where only {@linkcode read} can decompress them. Calls may overlap.
   */
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
  /** Persistent dirty bitmaps, where the format has them. */
  readonly bitmaps?: readonly Bitmap[];
}

/** A clusterSize of guest bytes as it lies compressed in a file. */
export interface CompressedCluster {
  /** What it is compressed with. */
  readonly codec: DecompressCodec;
  /** The compressed bytes. */
  readonly bytes: Uint8Array;
  /** How many guest bytes they give. */
  readonly length: number;
}

/** A file that an image names. */
export interface NamedFile {
  /** As it stands in the image; empty where the image only tells the file's {@linkcode id}. */
  readonly name: string;
  /** Further names under which the image says that it may be found, best first. */
  readonly others?: readonly string[];
  /** Format name as registered; absent where the image does not state it. */
  readonly format?: string | undefined;
  /** What {@linkcode Disk.id} of the file must be; absent where the image does not say. */
  readonly id?: string;
  /** Further IDs that will do as well. */
  readonly otherIds?: readonly string[];
}

/** What a format tells about an image: names and plain values, in the order to be shown. */
export type FormatInfo = { readonly [name: string]: InfoValue };
/** One fact: a plain value, a list, or a group of info. */
export type InfoValue = string | number | boolean | null | readonly InfoValue[] | FormatInfo;

/** One persistent dirty bitmap of an image. */
export interface Bitmap {
  /** Its name, unique in the image. */
  readonly name: string;
  /** Guest bytes that one bit stands for; a power of two. */
  readonly granularity: number;
  /** Whether it records new writes. */
  readonly enabled: boolean;
  /** Whether it was in use when the image was last left; its content cannot be trusted. */
  readonly inconsistent: boolean;
  /** Its bits, first guest bytes in the lowest bit; parts that are all clear are left out. Offsets in bytes of the bitmap. */
  pieces(): AsyncIterable<{ readonly offset: number; readonly bits: Uint8Array }>;
}

/** What the engine must know of a target to decide. */
export interface WriterTraits {
  /** Guest bytes. */
  readonly size: number;
  /** Bytes that the target allocates at once; 1 where it has no such clusterSize. */
  readonly clusterSize: number;
  /** Size granularity in bytes: 512 for sector formats, 1 for raw. */
  readonly sector: number;
  /** Whether it takes whole units only (the last may be short), each to be compressed. */
  readonly compress: boolean;
  /** Whether writes must come with rising positions. */
  readonly order: "any" | "ascending";
  /** Whether what is never written reads as zero. */
  readonly startsZeroed: boolean;
  /** Whether zeroes cost less than data of the same length. */
  readonly zeroes: "cheap" | "written";
}

/** An image being written. Disposed before {@linkcode finish}: abandoned. All positions are guest bytes. */
export interface DiskWriter extends AsyncDisposable {
  /** What the engine decides by. */
  readonly traits: WriterTraits;
  /**
   * Writes all of `from` at `start`. Where `traits.compress`: whole units, and calls may overlap, so that many units are
   * compressed at once; a writer whose order is ascending places them in the order of the calls.
   */
  write(from: Uint8Array, start: number): Promise<void>;
  /** As {@linkcode write}, of bytes that lie in another file; absent where they must pass through memory. */
  writeContent?(content: Content, start: number): Promise<void>;
  /**
   * Returns the fixed location of guest byte `start` and of those that follow. Bytes may be written there without this
   * writer; the caller then calls `noteWritten` of the storage. Absent where the writer allocates space as bytes come.
   */
  locationFor?(start: number): FixedLocation;
  /** Makes `[start, end)` read as zeroes, whatever lies there or beneath. */
  zero(start: number, end: number): Promise<void>;
  /** Adds a bitmap, after all writes; where the format has bitmaps. */
  addBitmap?(bitmap: Bitmap): Promise<void>;
  /** Refuses bitmaps that {@linkcode addBitmap} would refuse, before anything is written; where that is there. */
  checkBitmaps?(bitmaps: readonly Bitmap[]): Promise<void>;
  /** Writes what is still owed. The image is valid only after this; syncing is the caller's. */
  finish(): Promise<void>;
}

/** Guest bytes as a reader sees them, all layers together. */
export interface GuestReader {
  /** Guest bytes. */
  readonly size: number;
  /** Bytes that a layer allocates at once, the greatest of them: compressed data is best read in multiples of it. */
  readonly clusterSize: number;
  /** The run at `start`, ended at `limit` at the latest. */
  extentAt(start: number, limit: number): MaybePromise<Extent>;
  /** Fills `into`, whatever the status of the range; zeroes past the end. */
  read(into: Uint8Array, start: number): Promise<void>;
  /** As {@linkcode Disk.readCompressed}; `null` also where `[start, end)` does not lie compressed in one layer. */
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
}

/** Where a target keeps guest bytes, fixed from the start: they can be written there without the writer. */
export interface FixedLocation extends Location {
  readonly storage: WritableStorage;
  /** Guest byte after the last that lies there in one piece. */
  readonly end: number;
}

/** A creation option, as data: parser, help and wizard read it. */
export interface OptionSpec {
  /** As in `-o`. */
  readonly name: string;
  /** `size` takes `64k`, `2M`; `flag` takes on and off; `file` names a further file that is created with the image. */
  readonly type: "size" | "number" | "flag" | "text" | "choice" | "file";
  /** One line for people. */
  readonly help: string;
  /** For `choice`: the legal values. */
  readonly values?: readonly string[];
  /** What an absent option means; absent where that depends. */
  readonly default?: string | number | boolean;
  /** Least value, for `size` (in bytes) and `number`. */
  readonly min?: number;
  /** Greatest value, for `size` (in bytes) and `number`. */
  readonly max?: number;
}

/** Values of creation options, checked against their specs; absent ones are left out. */
export type OptionValues = { readonly [name: string]: string | number | boolean };

/** What a new image shall be. */
export interface CreatePlan {
  /** Guest bytes; a sector format rounds up to its sector. */
  readonly size: number;
  /** Values of the format's {@linkcode Format.createOptions}. */
  readonly options: OptionValues;
  /** The file beneath, as it shall be named in the image. */
  readonly backing: NamedFile | null;
  /** Whether units are to be compressed. */
  readonly compress: boolean;
}

/** How a format reckons the size of a new image. */
export interface Measure {
  /** Bytes that the image allocates at once. */
  readonly clusterSize: number;
  /**
   * Bytes of the files.
   *
   * @param data guest bytes of all units that hold data
   * @param bitmaps those of the source; `null` where it cannot have any
   */
  sizeOf(data: number, bitmaps: readonly Bitmap[] | null): Measured;
}

/** Bytes that the files of an image take. */
export interface Measured {
  /** With the data that there is. */
  readonly required: number;
  /** With nothing but data. */
  readonly fullyAllocated: number;
  /** For the bitmaps besides, where there can be any. */
  readonly bitmaps?: number;
}

/** What opening may ask of the engine. */
export interface OpenContext {
  /** Which internal snapshot to open instead of the current state. */
  readonly snapshot?: SnapshotChoice | undefined;
  /** Decompresses units, maybe on other cores: a disk hands in many before it waits. Absent: the disk decompresses itself. */
  readonly decompressor?: Decompressor;
  /** Opens a further file that the image names (data file, extent); the engine decides whether it may. */
  openNamed(file: NamedFile): Promise<Storage>;
}

/** How a user names a snapshot: `idOrName` tries the ID first. */
export type SnapshotChoice = { readonly idOrName: string } | { readonly id?: string; readonly name?: string };

/** What creating may ask of the engine. */
export interface CreateContext {
  /** Under which file name the image will appear; absent: that of its storage. */
  readonly name?: string;
  /** Creates a further file that the image is going to name; it appears together with the image. */
  createNamed(name: string): Promise<WritableStorage>;
  /** What shows beneath the new image, where it has a backing file. */
  readonly backing: GuestReader | null;
  /** Compresses units, maybe on other cores: a writer hands in many before it waits. Absent: the writer compress itself. */
  readonly compressor?: Compressor;
}

/** What editing may ask of the engine. */
export interface EditContext {
  /** Whether units are to be compressed. */
  readonly compress: boolean;
  /** As in {@linkcode CreateContext}. */
  readonly compressor?: Compressor;
  /** Opens a further file that the image names, for writing. */
  openNamed(file: NamedFile): Promise<WritableStorage>;
  /** Opens what is beneath; asked at most once, and only for an image that has something beneath. */
  openBacking(backing: NamedFile): Promise<GuestReader>;
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
 * An image format: info, which are there at once, and verbs. A verb may load its code when it is called, so that a
 * program pays only for the formats that it uses.
 */
export interface Format {
  /** As in `-f` and `-O`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** File name endings, without the dot, the usual one first. */
  readonly extensions: readonly string[];
  /** Sub-variants by their names in the field: those that {@linkcode create} makes, and those that are only read. */
  readonly subformats: { readonly written: readonly string[]; readonly read: readonly string[] };
  /** Guest bytes of the largest disk that {@linkcode create} makes with default options. */
  readonly maxSize: number;
  /** What its images can have. */
  readonly has: {
    /** Whether an image may name a file beneath it. */
    readonly backing: boolean;
    /** Whether {@linkcode create} makes images over a backing file. */
    readonly overlays: boolean;
    readonly compression: boolean;
    readonly snapshots: boolean;
    readonly bitmaps: boolean;
  };
  /** Guesses from bytes alone. */
  probe(peek: Peek): "yes" | "maybe" | "no";
  /** Opens an image for reading. The disk owns neither the storage nor what `openNamed` returned. */
  open(storage: Storage, context: OpenContext): Promise<Disk>;
  /** Options of {@linkcode create}. */
  readonly createOptions: readonly OptionSpec[];
  /** How long the files of a new image become. Absent: the engine writes into nothing to find out. Touches nothing. */
  measure?(plan: CreatePlan): Measure | Promise<Measure>;
  /** Throws `usage` for a plan that {@linkcode create} could not carry out. Touches nothing; runs before creating. */
  checkPlan?(plan: CreatePlan): void | Promise<void>;
  /** Starts a new image in empty storage. */
  create?(storage: WritableStorage, plan: CreatePlan, context: CreateContext): Promise<DiskWriter>;
  /** Opens an existing image for writing. */
  edit?(storage: WritableStorage, context: EditContext): Promise<DiskWriter>;
  /** Checking images and changing what they are, as far as the format can. */
  readonly maintenance?: Maintenance;
}
