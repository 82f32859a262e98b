/**
 * The state of the screen. Plain values; times are milliseconds of the clock that the caller passes in, counts are
 * bytes.
 *
 * @module
 */
import type { ConvertEvent, SourceSummary } from "../mod.ts";
import type { DiskMap, Range } from "./diskmap.ts";
import { type FinishedExtent, type Progress, startProgress } from "./progress.ts";
import type { StageTimes } from "./stage_times.ts";

/** The properties of a job that are known before it begins. */
export interface ScreenJob {
  readonly sources: readonly string[];
  readonly target: string;
  /** Name of the target's format. */
  readonly format: string;
  /** Title of the destination where the disk will run. */
  readonly destination?: string;
  /** Whether the target stores its data compressed. */
  readonly compress: boolean;
  /** Whether holes of the source become unallocated ranges of a target with a backing file. */
  readonly keepsBacking: boolean;
  /** Number of workers that compress and decompress. */
  readonly workers: number;
  /** Bytes a second that the user allows; absent: no limit. */
  readonly rateLimit?: number;
  /** Names of the expected phases, in order. */
  readonly phases: readonly string[];
  /** Partitions of the disk; absent where they are not known. */
  readonly partitions?: readonly ShownPartition[];
}

/** One phase; without `startedAt` it is still to come. */
export interface PhaseState {
  readonly name: string;
  readonly startedAt?: number;
  readonly endedAt?: number;
}

/** A warning, or an error that did not end the job. */
export interface Note {
  readonly severity: "warning" | "error";
  readonly message: string;
  /** The guest bytes that it is about, if any. */
  readonly range?: Range;
}

/** The page that is shown. */
export type Page = "main" | "help" | "runs" | "errors" | "map";

/** The part of the disk that the map shows: a quarter of the length for each level. */
export interface Zoom {
  readonly level: number;
  /** First guest byte. */
  readonly start: number;
}

/** How the job ended, for the last page. */
export interface Result {
  readonly ok: boolean;
  readonly text: string;
  /** Names and values. */
  readonly rows: readonly (readonly [name: string, value: string])[];
  /** A command that the user may want next. */
  readonly command?: string;
}

/** A partition of the disk. */
export interface ShownPartition extends Range {
  readonly name: string;
}

/** The state of the screen. */
export interface Model {
  readonly job: ScreenJob;
  readonly now: number;
  readonly progress: Progress;
  readonly phases: readonly PhaseState[];
  readonly sources: readonly SourceSummary[] | null;
  readonly target: Extract<ConvertEvent, { type: "plan" }>["target"] | null;
  readonly map: DiskMap | null;
  /** Skipped bytes that the backing file of the target provides. */
  readonly leftToBacking: number;
  /** Ranges that are being copied. */
  readonly inFlight: readonly Range[];
  /** The last {@linkcode KEPT} finished extents. */
  readonly extents: readonly FinishedExtent[];
  readonly extentCount: number;
  /** The last {@linkcode KEPT} warnings and errors. */
  readonly notes: readonly Note[];
  readonly noteCount: number;
  readonly stageTimes: StageTimes;
  readonly paused: boolean;
  readonly stopping: boolean;
  /** Whether the screen asks for a confirmation to stop. */
  readonly asking: boolean;
  readonly page: Page;
  /** Lines that a list is scrolled back from its end. */
  readonly scroll: number;
  readonly zoom: Zoom;
  /** Whether the map has letters, and colours for colour-blind people. */
  readonly letters: boolean;
  /** The result, until the screen is left; `null` while the job runs. */
  readonly result: Result | null;
}

/** An action outside of the screen that a key asks for. `exit`: at once, without waiting for the job. */
export type Effect = "pause" | "resume" | "stop" | "exit" | "redraw" | "suspend" | "leave";

/** A new state, and the action that goes with it. */
export interface Transition {
  readonly model: Model;
  readonly effect: Effect | null;
}

/** Items that are kept of lists without a limit. */
export const KEPT = 500;

/** The phases of every conversion. */
export const PHASES: readonly string[] = ["inspect", "plan", "copy", "finish"];

/** Returns the state before the first event. */
export function startModel(job: ScreenJob, now: number): Model {
  return {
    job,
    now,
    progress: startProgress(now),
    phases: job.phases.map((name) => ({ name })),
    sources: null,
    target: null,
    map: null,
    leftToBacking: 0,
    inFlight: [],
    extents: [],
    extentCount: 0,
    notes: [],
    noteCount: 0,
    stageTimes: [],
    paused: false,
    stopping: false,
    asking: false,
    page: "main",
    scroll: 0,
    zoom: { level: 0, start: 0 },
    letters: false,
    result: null,
  };
}

/** Returns the state of a job that is being stopped. */
export function stopped(model: Model): Model {
  return { ...model, stopping: true, asking: false, paused: false };
}

/** Whether the target leaves an extent unallocated, so that its backing file provides the bytes. */
export function isLeftToBacking({ job }: Pick<Model, "job">, extent: FinishedExtent): boolean {
  return extent.action === "skip" && extent.kind === "hole" && job.keepsBacking;
}

/** Returns the guest bytes that the map shows: all, or a part. */
export function shownRange({ map, zoom }: Model): Range {
  const size = map?.size ?? 0;
  const length = Math.max(size / 4 ** zoom.level, 1);
  const start = Math.max(0, Math.min(zoom.start, size - length));
  return { start, end: Math.min(size, start + length) };
}
