/**
 * Events that a job emits. Plain values; counts are bytes.
 *
 * @module
 */
import type { ExtentKind } from "../formats/mod.ts";

/** Guest bytes of a job by action. */
export interface Totals {
  /** Read and written. Includes zeroes that are found inside data. */
  readonly data: number;
  /** Known to be zero, and written as zeroes. */
  readonly zero: number;
  /** Neither read nor written: the target reads as zero already, or shows its backing file. */
  readonly skip: number;
}

/** The phases of a job, in order. */
export type Phase = "inspect" | "plan" | "copy" | "finish";

/** One event of a job. */
export type ConvertEvent =
  | { readonly type: "phase"; readonly phase: Phase }
  /** The plan; emitted once, before the first byte is copied. */
  | {
    readonly type: "plan";
    readonly sources: readonly SourceSummary[];
    readonly target: PlannedTarget;
    readonly totals: Totals;
    /** Zeroes and skipped bytes are work like data: all bytes are hashed. */
    readonly hashesAll?: true;
  }
  /** The copy of a piece begins; it ends with an `extent` event that covers the piece. */
  | { readonly type: "begin"; readonly start: number; readonly end: number }
  /**
   * A piece is done. Emitted in guest order. `zeroes`: bytes of its data that were found to be zero; `seconds`: time
   * since its `begin`.
   */
  | {
    readonly type: "extent";
    readonly start: number;
    readonly end: number;
    readonly kind: ExtentKind;
    readonly action: "copy" | "zero" | "skip";
    readonly zeroes: number;
    readonly seconds: number;
  }
  /**
   * Busy seconds of each stage since the copy began; emitted a few times a second. Compressing and decompressing sum over
   * all threads.
   */
  | {
    readonly type: "load";
    readonly read: number;
    readonly decompress: number;
    readonly compress: number;
    readonly write: number;
  }
  /** Guest bytes that could not be read and become zeroes (`salvage`). */
  | { readonly type: "bad"; readonly start: number; readonly end: number; readonly message: string }
  /** `harmless`: what the job writes is right whether or not the warning is read. */
  | { readonly type: "warning"; readonly message: string; readonly harmless?: boolean }
  /** What the result lacks though the job asked for it, where nothing is lost: shown in JSON only. */
  | { readonly type: "note"; readonly message: string };

/** Called with warnings; `harmless` as in {@linkcode ConvertEvent}. */
export type WarningListener = (message: string, harmless?: boolean) => void;

/** Events of jobs other than conversions. */
export type ScanEvent =
  | Exclude<ConvertEvent, { readonly type: "plan" }>
  /** The work by action; emitted once, before the first byte is read. */
  | { readonly type: "totals"; readonly totals: Totals; readonly hashesAll?: true }
  /** The share of the phase that is done, from 0 to 1, where the work is not counted in bytes. */
  | { readonly type: "progress"; readonly share: number };

/** The target of a plan. */
export interface PlannedTarget {
  /** As the job names it. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Guest bytes that are added at the end, because the job states a longer disk; absent: none. */
  readonly added?: number;
  /** What happens to a GUID partition table that must change, as on a disk that becomes longer; absent: nothing. */
  readonly gpt?: GptAction;
}

/**
 * `moved`: the backup is at the new end; `converted`: the table is written anew for another sector size; `left`: the table
 * is corrupt and stays as it is.
 */
export type GptAction = "moved" | "converted" | "left";

/** An opened source. */
export interface SourceSummary {
  /** Path of the top layer. */
  readonly path: string;
  /** Guest bytes. */
  readonly size: number;
  /** The backing chain, top first; sizes are guest bytes. */
  readonly layers: readonly { readonly path: string; readonly format: string; readonly size: number }[];
}

/** The digest of guest bytes, in hex, under the name of its {@linkcode DigestAlgorithm}; none where none was wanted. */
export interface DigestMember {
  /** SHA-256 of all bytes. */
  readonly sha256?: string;
  /** The digest `blocks-sha256`. */
  readonly blocksSha256?: string;
}

/** Result of a conversion. */
export interface ConvertSummary extends DigestMember {
  /** The target, absolute. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes of the target. */
  readonly size: number;
  /** As in {@linkcode PlannedTarget}. */
  readonly added?: number;
  /** As in {@linkcode PlannedTarget}. */
  readonly gpt?: GptAction;
  /** Size of the file in bytes. */
  readonly fileSize: number;
  /** Guest bytes by action; `zeroes` of `data` were found to be zero. */
  readonly totals: Totals & { readonly zeroes: number };
  /** Ranges of guest bytes that could not be read and became zeroes. */
  readonly bad: readonly { readonly start: number; readonly end: number }[];
  /** Seconds from the first phase to the last. */
  readonly seconds: number;
}
