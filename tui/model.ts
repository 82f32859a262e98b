/**
 * What the screen knows. Plain values; times are milliseconds of the clock that is handed in, counts are bytes.
 *
 * @module
 */
import type { ConvertEvent, SourceSummary, Totals } from "../mod.ts";
import { type DiskMap, emptyMap, type Range } from "./diskmap.ts";
import type { Load } from "./load.ts";
import { type Rate, startRate } from "./rate.ts";

/** What is known of a job before it begins. */
export interface ScreenJob {
  readonly sources: readonly string[];
  readonly target: string;
  /** Name of the target's format. */
  readonly format: string;
  /** Where the disk will run, in words. */
  readonly destination?: string;
  /** Whether the target compress what it is given. */
  readonly compress: boolean;
  /** Whether the target leaves holes to a backing file. */
  readonly keepsBacking: boolean;
  /** Processors that compress and decompress. */
  readonly workers: number;
  /** Phases that are expected, in order. */
  readonly phases: readonly string[];
}

/** What a screen hears: the events of a job, and phases that somebody else adds to them. */
export type ScreenEvent = ConvertEvent | { readonly type: "phase"; readonly phase: string };

/** One phase; without `startedAt` it is still to come. */
export interface PhaseState {
  readonly name: string;
  readonly startedAt?: number;
  readonly endedAt?: number;
}

/** A piece that has settled. */
export type SettledRun = Extract<ConvertEvent, { type: "extent" }>;

/** Something that the user should know. */
export interface Note {
  readonly kind: "warning" | "error";
  readonly message: string;
  /** Where it is, if it has a place. */
  readonly range?: Range;
}

/** What is done, in guest bytes. */
export interface Done extends Totals {
  /** Zeroes found inside `data`. */
  readonly zeroes: number;
  /** The part of `skip` that is left to the backing file. */
  readonly backing: number;
  /** Read again and found to be right. */
  readonly verified: number;
  /** Could not be read. */
  readonly bad: number;
}

/** Which page is shown. */
export type Page = "main" | "help" | "runs" | "errors" | "map";

/** The part of the disk that the map shows: a quarter of the whole for each level. */
export interface Zoom {
  readonly level: number;
  /** First guest byte. */
  readonly start: number;
}

/** The state of the screen. */
export interface Model {
  readonly job: ScreenJob;
  readonly startedAt: number;
  readonly now: number;
  readonly phases: readonly PhaseState[];
  readonly sources: readonly SourceSummary[] | null;
  readonly target: Extract<ConvertEvent, { type: "plan" }>["target"] | null;
  readonly totals: Totals | null;
  readonly done: Done;
  readonly map: DiskMap | null;
  readonly inFlight: readonly Range[];
  /** The last of them. */
  readonly runs: readonly SettledRun[];
  readonly runCount: number;
  /** The last of them. */
  readonly notes: readonly Note[];
  readonly noteCount: number;
  readonly rate: Rate;
  readonly load: Load;
  readonly paused: boolean;
  readonly stopping: boolean;
  /** Whether the question is open whether to stop. */
  readonly asking: boolean;
  readonly page: Page;
  /** Lines that a list is scrolled back from its end. */
  readonly scroll: number;
  readonly zoom: Zoom;
}

/** What is kept of lists that have no end. */
export const KEPT = 500;

/** The phases of every conversion. */
export const PHASES: readonly string[] = ["inspect", "plan", "copy", "finish"];

/** Before the first event. */
export function startModel(job: ScreenJob, now: number): Model {
  return {
    job,
    startedAt: now,
    now,
    phases: job.phases.map((name) => ({ name })),
    sources: null,
    target: null,
    totals: null,
    done: { data: 0, zero: 0, skip: 0, zeroes: 0, backing: 0, verified: 0, bad: 0 },
    map: null,
    inFlight: [],
    runs: [],
    runCount: 0,
    notes: [],
    noteCount: 0,
    rate: startRate(now),
    load: { told: [] },
    paused: false,
    stopping: false,
    asking: false,
    page: "main",
    scroll: 0,
    zoom: { level: 0, start: 0 },
  };
}

/** A map for a disk of `size` bytes; none for an empty one. */
export function mapFor(size: number): DiskMap | null {
  return size > 0 ? emptyMap(size) : null;
}

/** Name of the phase that is under way; empty before the first. */
export function currentPhase(model: Model): string {
  return model.phases.find((phase) => phase.startedAt !== undefined && phase.endedAt === undefined)?.name ?? "";
}

/** All the work of the present phase: data; where a job has none, its zeroes. */
export function totalWork(model: Model): number {
  // What verifies without saying how far it is has no bar.
  if (currentPhase(model) === "verify") return model.done.verified > 0 ? model.target?.size ?? 0 : 0;
  const { data, zero } = model.totals ?? { data: 0, zero: 0 };
  return data > 0 ? data : zero;
}

/** The work of the present phase that is done. */
export function doneWork(model: Model): number {
  if (currentPhase(model) === "verify") return Math.min(model.done.verified, totalWork(model));
  return Math.min(model.totals?.data === 0 ? model.done.zero : model.done.data, totalWork(model));
}

/** Bytes that the map shows: all, or a part. */
export function shownRange({ map, zoom }: Model): Range {
  const size = map?.size ?? 0;
  const length = Math.max(size / 4 ** zoom.level, 1);
  const start = Math.max(0, Math.min(zoom.start, size - length));
  return { start, end: Math.min(size, start + length) };
}
