/**
 * What a format may offer for images that exist, besides reading and writing guest bytes: checking them and changing
 * what they are. Every verb is optional; the engine says which one a format lacks.
 *
 * A verb that changes an image is one step: whatever moment the program ends at, the image opens and holds either the
 * old or the new state.
 *
 * @module
 */
import type { Bitmap, GuestReader, NamedFile, OptionSpec, OptionValues, SnapshotChoice } from "./contract.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/** What checking found. Counts are of the image's own clusters (clusters, grains, blocks). */
export interface CheckReport {
  /** What is wrong, the first of it: at most {@linkcode PROBLEMS_MAX}. */
  readonly problems: readonly Problem[];
  /** Contradictions: data may be wrong, and writing may do more harm. */
  readonly corruptions: number;
  /** Units that are in use but not needed: a waste of space, no harm. */
  readonly leaks: number;
  /** Parts that could not be checked. */
  readonly checkErrors: number;
  /** File offset after the last byte in use; absent where the format does not tell. */
  readonly imageEnd?: number;
  /** How the guest's clusters lie; absent where the format does not tell. */
  readonly clusters?: {
    readonly total: number;
    readonly allocated: number;
    /** Allocated, but not behind the unit before. */
    readonly fragmented: number;
    readonly compressed: number;
  };
}

/** One thing that is wrong. */
export interface Problem {
  /** Wrong data or tables, space that nothing uses, or a part that could not be checked. */
  readonly kind: "corruption" | "leak" | "check-error";
  /** For people, with the place in the file. */
  readonly message: string;
  /** File offset in bytes, where there is one place. */
  readonly fileOffset?: number;
}

/** How many problems are told one by one. */
export const PROBLEMS_MAX = 1000;

/** What `repair` may mend: what is wasted, or everything that can be. */
export type RepairKind = "leaks" | "all";

/** What checking may ask of the engine. */
export interface CheckContext {
  /**
   * Awaited often; throws where the caller has ended the job.
   *
   * @param share how much of the verb is done, from 0 to 1; absent: not known
   */
  checkpoint(share?: number): Promise<void>;
  /** Opens a further file that the image names. */
  openNamed(file: NamedFile): Promise<Storage>;
}

/** `context` for a part of a verb: what is all of that part takes the verb from the share `from` to the share `to`. */
export function partOf<Context extends Pick<CheckContext, "checkpoint">>(
  context: Context,
  from: number,
  to: number,
): Context {
  return {
    ...context,
    checkpoint: (share) => context.checkpoint(share === undefined ? undefined : from + share * (to - from)),
  };
}

/** What changing may ask of the engine. */
export interface ChangeContext extends CheckContext {
  /** Opens a further file that the image names, for writing. */
  openNamed(file: NamedFile): Promise<WritableStorage>;
  /** Opens what is beneath. */
  openBacking(backing: NamedFile): Promise<GuestReader>;
  /**
   * Creates a further file that the image is going to name, beside the image.
   *
   * @throws ImageError `refused` where the name is taken, or is a path
   */
  createNamed(name: string): Promise<NewFile>;
}

/** A file that is being made. It is gone when the job ends, unless it was published. */
export interface NewFile {
  /** Its bytes. */
  readonly storage: WritableStorage;
  /** Gives it its name: from then on it is there, complete and on stable storage. The storage is closed. */
  publish(): Promise<void>;
}

/** What to allocate for the new end of a disk that grows. */
export type GrowthKind = "off" | "metadata" | "falloc" | "full";

/** One internal snapshot, for a list. */
export interface NewSnapshot {
  /** As the user names it. */
  readonly name: string;
  /** When it is taken: seconds since 1970, and nanoseconds of that second. */
  readonly dateSeconds: number;
  /** Nanoseconds beyond that second. */
  readonly dateNanoseconds: number;
}

/** Something to be done with the persistent bitmaps of an image. */
export type BitmapAction =
  | { readonly action: "add"; readonly granularity: number | null; readonly enabled: boolean }
  | { readonly action: "remove" | "clear" | "enable" | "disable" }
  /** Sets what is set in `from`, of which the granularity may differ. */
  | { readonly action: "merge"; readonly from: BitmapSource };

/** The bits to be merged. */
export interface BitmapSource extends Pick<Bitmap, "name" | "granularity" | "pieces"> {
  /** Guest bytes of its disk. */
  readonly size: number;
}

/** The verbs. All sizes are guest bytes; those that change leave syncing of the last step to nobody: it is done. */
export interface Maintenance {
  /** Looks at everything. Throws only where the image does not open. */
  check?(storage: Storage, context: CheckContext): Promise<CheckReport>;
  /** Mends what it can. What was mended is the difference of two checks. */
  repair?(storage: WritableStorage, what: RepairKind, context: ChangeContext): Promise<void>;
  /** Changes the size of the disk. What is new reads as zeroes, whatever lies beneath. */
  resize?(storage: WritableStorage, size: number, growth: GrowthKind, context: ChangeContext): Promise<void>;
  /**
   * Names another file beneath, or none; data stay as they are. Without an ID the image says nothing of what content
   * the file has, where images of the format can state it.
   */
  setBacking?(storage: WritableStorage, backing: NamedFile | null): Promise<void>;
  /** Forgets everything that the image states, so that what is beneath shows. */
  empty?(storage: WritableStorage, context: ChangeContext): Promise<void>;
  /** Forgets what the image states of whole clusters inside these ranges, so that what is beneath shows. */
  forget?(
    storage: WritableStorage,
    ranges: readonly { readonly start: number; readonly end: number }[],
    context: ChangeContext,
  ): Promise<void>;
  /** Internal snapshots. */
  readonly snapshots?: {
    create(storage: WritableStorage, snapshot: NewSnapshot, context: ChangeContext): Promise<void>;
    apply(storage: WritableStorage, choice: SnapshotChoice, context: ChangeContext): Promise<void>;
    remove(storage: WritableStorage, choice: SnapshotChoice, context: ChangeContext): Promise<void>;
  };
  /** Carries out `actions` on the bitmap `name`, all or none of them. */
  administerBitmap?(
    storage: WritableStorage,
    name: string,
    actions: readonly BitmapAction[],
    context: ChangeContext,
  ): Promise<void>;
  /** Options of {@linkcode amend}. */
  readonly amendOptions?: readonly OptionSpec[];
  /** Changes what was chosen when the image was created. */
  amend?(storage: WritableStorage, options: OptionValues, context: ChangeContext): Promise<void>;
}
