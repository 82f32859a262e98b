/**
 * How far a job is: events in, numbers out. Pure.
 *
 * @module
 */
import type { ConvertEvent, Phase, ScanEvent, Totals } from "../mod.ts";

/** The job so far. Counts are bytes, times are milliseconds of the clock that was handed in. */
export interface Progress {
  /** What the work is called. */
  readonly label: string;
  readonly startedAt: number;
  readonly phase: Phase | undefined;
  /** What was planned; absent before the plan. */
  readonly totals: Totals | undefined;
  /** What is done. */
  readonly done: Totals;
  /** Copied bytes over time, a few points of the last seconds: for the present rate. */
  readonly recent: readonly { readonly at: number; readonly bytes: number }[];
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
    recent: [],
  };
}

/** The progress after one more event. */
export function advance(state: Progress, event: JobEvent, now: number): Progress {
  switch (event.type) {
    case "phase":
      if (event.phase !== "copy") return { ...state, phase: event.phase };
      return { ...state, phase: event.phase, recent: [{ at: now, bytes: work(state) }] };
    case "plan":
    case "totals":
      return { ...state, totals: event.totals };
    case "run":
      return afterRun(state, event, now);
    default:
      return state;
  }
}

function afterRun(state: Progress, event: ConvertEvent & { type: "run" }, now: number): Progress {
  const length = event.end - event.start;
  const done = {
    data: state.done.data + (event.act === "copy" ? length : 0),
    zero: state.done.zero + (event.act === "zero" ? length : 0),
    skip: state.done.skip + (event.act === "skip" ? length : 0),
  };
  const next = { ...state, done };
  const last = state.recent.at(-1);
  if (last !== undefined && now - last.at < RATE_STEP) return next;
  const kept = state.recent.filter((point) => now - point.at <= RATE_WINDOW);
  return { ...next, recent: [...kept, { at: now, bytes: work(next) }] };
}

/** What counts as work: data; where a job has none, its zeroes. */
function work(state: Progress): number {
  return state.totals?.data === 0 ? state.done.zero : state.done.data;
}

/** All the work of the job in bytes. */
export function totalWork(state: Progress): number {
  const { data, zero } = state.totals ?? { data: 0, zero: 0 };
  return data > 0 ? data : zero;
}

/** The work that is done, in bytes, never more than all of it. */
export function doneWork(state: Progress): number {
  return Math.min(work(state), totalWork(state));
}

/** Done work from 0 to 100. A job without work is at 100 as soon as it finishes. */
export function percent(state: Progress): number {
  const total = totalWork(state);
  if (total === 0) return state.phase === "finish" ? 100 : 0;
  return 100 * doneWork(state) / total;
}

/** Bytes of work a second over the last seconds; 0 where that is not known yet. */
export function rate(state: Progress, now: number): number {
  const first = state.recent[0];
  if (first === undefined || now - first.at < RATE_STEP) return 0;
  return 1000 * (work(state) - first.bytes) / (now - first.at);
}

/** Seconds of copying that are left, from the data left; absent where that is not known. */
export function secondsLeft(state: Progress, now: number): number | undefined {
  const speed = rate(state, now);
  return speed > 0 ? (totalWork(state) - doneWork(state)) / speed : undefined;
}
