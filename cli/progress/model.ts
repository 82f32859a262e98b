/**
 * How far a job is: events in, numbers out. Pure.
 *
 * @module
 */
import type { ConvertEvent, Phase, ScanEvent, Totals } from "../../mod.ts";

/** The job so far. Work is bytes, or a share of 1 where it is not counted in bytes; times are milliseconds of the clock that was handed in. */
export interface Progress {
  /** What the work is called. */
  readonly label: string;
  readonly startedAt: number;
  readonly phase: Phase | undefined;
  /** What was planned; absent before the plan. */
  readonly totals: Totals | undefined;
  /** What is done. */
  readonly done: Totals;
  /** How much of the phase is done, from 0 to 1; absent where bytes tell. */
  readonly share: number | undefined;
  /** Work over time, a few points of the last seconds: for the present rate. */
  readonly recent: readonly { readonly at: number; readonly done: number }[];
}

/** Long enough that one slow write does not shake the rate, short enough that it follows. */
const RATE_WINDOW = 5000;
/** One point in this time is enough for the rate, however many events come. */
const RATE_STEP = 250;

/** What jobs tell. */
export type JobEvent = ConvertEvent | ScanEvent;

/** Before the first event. */
export function startProgress(now: number, label = "Copying"): Progress {
  return {
    label,
    startedAt: now,
    phase: undefined,
    totals: undefined,
    done: { data: 0, zero: 0, skip: 0 },
    share: undefined,
    recent: [],
  };
}

/** The progress after one more event. */
export function advance(state: Progress, event: JobEvent, now: number): Progress {
  switch (event.type) {
    case "phase":
      return atWork({ ...state, phase: event.phase, share: undefined, recent: [] }, now);
    case "plan":
    case "totals":
      return { ...state, totals: event.totals };
    case "extent":
      return afterRun(state, event, now);
    case "progress":
      return atWork({ ...state, share: event.share }, now);
    default:
      return state;
  }
}

function afterRun(state: Progress, event: ConvertEvent & { type: "extent" }, now: number): Progress {
  const length = event.end - event.start;
  const done = {
    data: state.done.data + (event.action === "copy" ? length : 0),
    zero: state.done.zero + (event.action === "zero" ? length : 0),
    skip: state.done.skip + (event.action === "skip" ? length : 0),
  };
  return atWork({ ...state, done }, now);
}

/** `state` with one more point of its rate, if it is time for one. */
function atWork(state: Progress, now: number): Progress {
  const last = state.recent.at(-1);
  if (last !== undefined && now - last.at < RATE_STEP) return state;
  const kept = state.recent.filter((point) => now - point.at <= RATE_WINDOW);
  return { ...state, recent: [...kept, { at: now, done: work(state) }] };
}

/** What counts as work: data; where a job has none, its zeroes. */
function work(state: Progress): number {
  if (state.share !== undefined) return state.share;
  return state.totals?.data === 0 ? state.done.zero : state.done.data;
}

/** Whether it is known how far the job is. */
export function isMeasured(state: Progress): boolean {
  return state.totals !== undefined || state.share !== undefined;
}

/** Whether its work is counted in bytes, and not told as a share. */
export function isInBytes(state: Progress): boolean {
  return state.share === undefined;
}

/** All the work of the job: in bytes, or 1. */
export function totalWork(state: Progress): number {
  if (state.share !== undefined) return 1;
  const { data, zero } = state.totals ?? { data: 0, zero: 0 };
  return data > 0 ? data : zero;
}

/** The work that is done, never more than all of it. */
export function doneWork(state: Progress): number {
  return Math.min(work(state), totalWork(state));
}

/** Done work from 0 to 100. A job without work is at 100 as soon as it finishes. */
export function percent(state: Progress): number {
  const total = totalWork(state);
  if (total === 0) return state.phase === "finish" ? 100 : 0;
  return 100 * doneWork(state) / total;
}

/** Work a second over the last seconds; 0 where that is not known yet. */
export function rate(state: Progress, now: number): number {
  const first = state.recent[0];
  if (first === undefined || now - first.at < RATE_STEP) return 0;
  return 1000 * (work(state) - first.done) / (now - first.at);
}

/** Seconds of work that are left; absent where that is not known. */
export function secondsLeft(state: Progress, now: number): number | undefined {
  const speed = rate(state, now);
  return speed > 0 ? (totalWork(state) - doneWork(state)) / speed : undefined;
}
