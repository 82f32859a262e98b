/**
 * Verbs for existing images, besides reading and writing guest bytes: checks, repairs and changes.
 * Every verb is optional; the engine reports which verb a format lacks.
 *
 * A verb that changes an image is atomic: at whatever moment the program ends, the image opens and holds either the old
 * or the new state.
 *
 * @module
 */
import type { BitmapAction } from "./bitmaps.ts";
import type { GuestReader, NamedFile } from "./guest_reader.ts";
import type { OptionSpec, OptionValues } from "./options.ts";
import type { NewSnapshot, SnapshotChoice } from "./snapshots.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/** The result of a check. Counts are in the format's own clusters (clusters, grains, blocks). */
export interface CheckReport {
  /** The first problems: at most {@linkcode MAX_PROBLEMS}. */
  readonly problems: readonly Problem[];
  /** Contradictions: guest data may be wrong, and writing may damage more of it. */
  readonly corruptions: number;
  /** Clusters that are allocated but not referenced: they waste space and do no harm. */
  readonly leaks: number;
  /** Parts that could not be checked. */
  readonly checkErrors: number;
  /** File offset after the last byte in use; absent where the format does not compute it. */
  readonly imageEnd?: number;
  /** Counts of guest clusters; absent where the format does not compute them. */
  readonly clusters?: {
    readonly total: number;
    readonly allocated: number;
    /** Allocated clusters that do not follow the previous guest cluster in the file. */
    readonly fragmented: number;
    readonly compressed: number;
  };
}

/** One problem of an image. */
export interface Problem {
  /** `corruption`: wrong data or tables; `leak`: space without a reference; `check-error`: a part that was not checked. */
  readonly kind: "corruption" | "leak" | "check-error";
  /** For the user, with the file offset. */
  readonly message: string;
  /** File offset in bytes, where the problem has one. */
  readonly fileOffset?: number;
}

/** The greatest number of problems that a report lists one by one. */
export const MAX_PROBLEMS = 1000;

/** The scope of a repair: leaks only, or everything that can be repaired. */
export type RepairScope = "leaks" | "all";

/** Services of the engine for a check. */
export interface CheckContext {
  /**
   * Reports progress, and waits while the job is paused. Formats await it often.
   *
   * @param share how much of the verb is done, from 0 to 1; absent where that is not known
   * @throws ImageError `cancelled` where the caller has ended the job
   */
  checkpoint(share?: number): Promise<void>;
  /** Opens a further file that the image names. */
  openNamed(file: NamedFile): Promise<Storage>;
}

/** Returns `context` for one stage of a verb: progress of the stage from 0 to 1 is reported as `from` to `to`. */
export function stageContext<Context extends Pick<CheckContext, "checkpoint">>(
  context: Context,
  from: number,
  to: number,
): Context {
  return {
    ...context,
    checkpoint: (share) => context.checkpoint(share === undefined ? undefined : from + share * (to - from)),
  };
}

/** Services of the engine for a verb that changes an image. */
export interface ChangeContext extends CheckContext {
  /** Opens a further file that the image names, for writing. */
  openNamed(file: NamedFile): Promise<WritableStorage>;
  /** Opens the backing chain. */
  openBacking(backing: NamedFile): Promise<GuestReader>;
  /**
   * Creates a further file that the image is going to name, in the folder of the image.
   *
   * @throws ImageError `refused` where a file of that name exists, or the name is a path
   */
  createNamed(name: string): Promise<NewFile>;
  /** As in `EditContext`: called before the image gets a new ID. */
  beforeNewId?(): Promise<void>;
}

/** A file that is being created. The end of the job removes it unless it was published. */
export interface NewFile {
  /** Its bytes. */
  readonly storage: WritableStorage;
  /** Syncs the file, closes its storage and gives it its name. */
  publish(): Promise<void>;
}

/** The preallocation of the new end of a disk that grows. */
export type Preallocation = "off" | "metadata" | "falloc" | "full";

/** The verbs. All sizes are guest bytes. A verb that changes an image also syncs its last step. */
export interface Maintenance {
  /** Checks the whole image. Throws only where the image does not open. */
  check?(storage: Storage, context: CheckContext): Promise<CheckReport>;
  /** Repairs as much as it can. The difference of two checks shows what was repaired. */
  repair?(storage: WritableStorage, scope: RepairScope, context: ChangeContext): Promise<void>;
  /** Changes the size of the disk. New guest bytes read as zeroes, whatever the backing file holds there. */
  resize?(storage: WritableStorage, size: number, growth: Preallocation, context: ChangeContext): Promise<void>;
  /**
   * Changes or removes the name of the backing file; guest data of the layer stays. Without an ID in `backing`, an image
   * whose format stores one no longer states which content the backing file must have.
   */
  setBacking?(storage: WritableStorage, backing: NamedFile | null): Promise<void>;
  /** Deallocates all guest data of the layer, so that the backing file shows. */
  empty?(storage: WritableStorage, context: ChangeContext): Promise<void>;
  /** Deallocates the whole clusters inside these ranges of guest bytes, so that the backing file shows. */
  deallocate?(
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
  /** Persistent dirty bitmaps. */
  readonly bitmaps?: {
    /** Carries out `actions` on the bitmap `name`, all or none of them. */
    change(
      storage: WritableStorage,
      name: string,
      actions: readonly BitmapAction[],
      context: ChangeContext,
    ): Promise<void>;
  };
  /** Changes of options that were chosen when the image was created. */
  readonly amend?: {
    /** The options that can be changed. */
    readonly options: readonly OptionSpec[];
    run(storage: WritableStorage, options: OptionValues, context: ChangeContext): Promise<void>;
  };
}
