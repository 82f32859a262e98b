/**
 * What a job tells while it runs. Events are plain values; every count is in bytes.
 *
 * @module
 */
import type { ExtentKind } from "../formats/mod.ts";

/** Guest bytes of a job by what is done with them. */
export interface Totals {
  /** To be read and written (zeroes that are found inside are counted here). */
  readonly data: number;
  /** Known to be zero and written as zeroes. */
  readonly zero: number;
  /** Neither read nor written: zero already, or left to the backing file. */
  readonly skip: number;
}

/** The phases of a job, in order. */
export type Phase = "inspect" | "plan" | "copy" | "finish";

/** One event of a job. */
export type ConvertEvent =
  | { readonly type: "phase"; readonly phase: Phase }
  /** What will be done; told once, before the first byte is copied. */
  | {
    readonly type: "plan";
    readonly sources: readonly SourceSummary[];
    readonly target: PlannedTarget;
    readonly totals: Totals;
  }
  /** A piece that is being copied from now on, until a `run` that covers it. */
  | { readonly type: "begin"; readonly start: number; readonly end: number }
  /**
   * A piece that has settled, in guest order. `zeroes` counts the zeroes found inside data, `seconds` is the time from
   * its beginning.
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
   * How long each stage has been busy since the copy began, in seconds; told now and then. Compressing and decompressing count
   * all cores.
   */
  | {
    readonly type: "load";
    readonly read: number;
    readonly decompress: number;
    readonly compress: number;
    readonly write: number;
  }
  /** Bytes of the source that could not be read and became zeroes (`salvage`). */
  | { readonly type: "bad"; readonly start: number; readonly end: number; readonly message: string }
  | { readonly type: "warning"; readonly message: string };

/** What a job tells that only reads: as a conversion, but there is no target to plan. */
export type ScanEvent =
  | Exclude<ConvertEvent, { readonly type: "plan" }>
  /** What will be read; told once, before the first byte is. */
  | { readonly type: "totals"; readonly totals: Totals }
  /** How much of the phase is done, from 0 to 1, where it is not counted in bytes. */
  | { readonly type: "progress"; readonly share: number };

/** The target as it will be. */
export interface PlannedTarget {
  /** As the job names it. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Guest bytes that are added at the end because the job wants a longer disk; absent: none. */
  readonly added?: number;
  /** What happens to the backup of a GUID partition table on a disk that becomes longer; absent: nothing is to be done. */
  readonly gpt?: GptAction;
}

/** `moved`: its backup lies at the new end; `left`: it is not sound and stays as it is. */
export type GptAction = "moved" | "left";

/** One source as opened: the layers from the top down. */
export interface SourceSummary {
  /** Of the top layer. */
  readonly path: string;
  /** Guest bytes. */
  readonly size: number;
  /** The chain, top first; sizes are guest bytes. */
  readonly layers: readonly { readonly path: string; readonly format: string; readonly size: number }[];
}

/** What a finished job did. */
export interface ConvertSummary {
  /** Where it is, absolute. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes of the target. */
  readonly size: number;
  /** As in {@linkcode PlannedTarget}. */
  readonly added?: number;
  /** What became of the backup of a GPT, where the disk was lengthened. */
  readonly gpt?: GptAction;
  /** Bytes of the finished file. */
  readonly fileSize: number;
  /** What was done. `data` counts what was read; `zeroes` of it were found to be zero. */
  readonly totals: Totals & { readonly zeroes: number };
  /** Guest ranges that became zeroes because they could not be read. */
  readonly bad: readonly { readonly start: number; readonly end: number }[];
  /** SHA-256 of the guest bytes that were converted, in hex, where the job asks for it. */
  readonly sha256?: string;
  /** Seconds from the first phase to the last. */
  readonly seconds: number;
}
