/**
 * The progress of a job, computed from its events. The bar, the lines and the screen all show this state. Pure; times
 * are milliseconds of the clock that the caller passes in.
 *
 * @module
 */
import type { ConvertEvent, ScanEvent, Totals } from "../mod.ts";
import { advanceRate, currentRate, type Rate, startRate } from "./rate.ts";

/** The events of a job, and phases that the command line adds to them, such as `verify`. */
export type JobEvent = ConvertEvent | ScanEvent | { readonly type: "phase"; readonly phase: string };

/** An extent that has been copied, zeroed or skipped. */
export type FinishedExtent = Extract<ConvertEvent, { type: "extent" }>;

/** Guest bytes that are finished. */
export interface Done extends Totals {
  /** Zeroes found inside `data`. */
  readonly zeroes: number;
  /** Read again and found correct. */
  readonly verified: number;
  /** Unreadable. */
  readonly bad: number;
}

/** The job so far. Work is counted in guest bytes, or as a share of 1. */
export interface Progress {
  readonly startedAt: number;
  /** Name of the present phase; absent before the first. */
  readonly phase: string | undefined;
  /** The planned bytes; absent before the plan. */
  readonly totals: Totals | undefined;
  /** Whether zeroes and skipped bytes are work like data. */
  readonly hashesAll: boolean;
  readonly done: Done;
  /** The finished share of the phase, from 0 to 1; absent where bytes count. */
  readonly share: number | undefined;
  /** The rate of the last phase that has one. */
  readonly rate: Rate;
}

/** Phases that go through the disk and have a rate. */
const WITH_RATE: readonly string[] = ["copy", "verify"];

/** Returns the progress before the first event. */
export function startProgress(now: number): Progress {
  return {
    startedAt: now,
    phase: undefined,
    totals: undefined,
    hashesAll: false,
    done: { data: 0, zero: 0, skip: 0, zeroes: 0, verified: 0, bad: 0 },
    share: undefined,
    rate: startRate(now),
  };
}

/** Returns the progress after an event. {@linkcode tick} updates the rate: once for each batch of events is enough. */
export function advance(state: Progress, event: JobEvent, now: number): Progress {
  switch (event.type) {
    case "phase": {
      const rate = WITH_RATE.includes(event.phase) ? startRate(now) : state.rate;
      return { ...state, phase: event.phase, share: undefined, rate };
    }
    case "plan":
    case "totals":
      return { ...state, totals: event.totals, hashesAll: event.hashesAll === true };
    case "extent":
      return { ...state, done: withExtent(state, event) };
    case "bad":
      return { ...state, done: { ...state.done, bad: state.done.bad + event.end - event.start } };
    case "progress":
      return { ...state, share: event.share };
    default:
      return state;
  }
}

function withExtent({ phase, done }: Progress, extent: FinishedExtent): Done {
  const length = extent.end - extent.start;
  if (phase === "verify") return { ...done, verified: done.verified + length };
  const counter = extent.action === "copy" ? "data" : extent.action;
  return { ...done, [counter]: done[counter] + length, zeroes: done.zeroes + extent.zeroes };
}

/** Returns the progress with its rate at `now`. `paused`: the job has not worked since the last call. */
export function tick(state: Progress, now: number, paused = false): Progress {
  const running = !paused && state.phase !== undefined && WITH_RATE.includes(state.phase);
  return { ...state, rate: advanceRate(state.rate, now, doneWork(state), running) };
}

/** Whether the amount of work is known. */
export function isMeasured(state: Progress): boolean {
  return state.totals !== undefined || state.share !== undefined;
}

/** Whether work is counted in bytes, and not as a share. */
export function isInBytes(state: Progress): boolean {
  return state.share === undefined;
}

/** Returns all the work of the phase: data; where a job has none, its zeroes; all bytes where all are hashed. */
export function totalWork({ phase, totals, done, share, hashesAll }: Progress): number {
  if (share !== undefined) return 1;
  const { data, zero, skip } = totals ?? { data: 0, zero: 0, skip: 0 };
  // A check that emits no extents has no bar.
  if (phase === "verify") return done.verified > 0 ? data + zero + skip : 0;
  if (hashesAll) return data + zero + skip;
  return data > 0 ? data : zero;
}

/** Returns the finished work of the phase, at most all of it. */
export function doneWork(state: Progress): number {
  return Math.min(state.share ?? doneBytes(state), totalWork(state));
}

function doneBytes({ phase, totals, done, hashesAll }: Progress): number {
  if (phase === "verify") return done.verified;
  if (hashesAll) return done.data + done.zero + done.skip;
  return totals?.data === 0 ? done.zero : done.data;
}

/** Returns the finished work from 0 to 100. A job without work is at 100 as soon as it finishes. */
export function percent(state: Progress): number {
  const total = totalWork(state);
  if (total === 0) return state.phase === "finish" ? 100 : 0;
  return 100 * doneWork(state) / total;
}

/** Returns the remaining seconds at the current rate; `undefined` where no rate is known. */
export function secondsLeft(state: Progress): number | undefined {
  const rate = currentRate(state.rate);
  return rate > 0 ? (totalWork(state) - doneWork(state)) / rate : undefined;
}

/** Returns the seconds since the job began. */
export function elapsedSeconds({ startedAt }: Progress, now: number): number {
  return (now - startedAt) / 1000;
}
