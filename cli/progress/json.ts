/**
 * Progress as one JSON object a line, for programs. `v` is the version of this form; the last line is a `summary`.
 *
 * @module
 */
import type { Totals } from "../../mod.ts";
import {
  doneWork,
  elapsedSeconds,
  type FinishedExtent,
  isInBytes,
  percent,
  type Progress,
  secondsLeft,
  totalWork,
} from "../../tui/progress.ts";
import { currentRate } from "../../tui/rate.ts";
import type { Outcome, Renderer } from "./progress.ts";
import { jsonText } from "../report/json.ts";

/** Milliseconds between two `status` lines. */
const STATUS = 250;

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

function totalsOf({ done: { data, zero, skip } }: Progress): Totals {
  return { data, zero, skip };
}

/** Returns the fields of a `status` line. */
function statusFields(state: Progress, now: number): { [name: string]: unknown } {
  const left = secondsLeft(state);
  return {
    phase: state.phase,
    percent: rounded(percent(state), 2),
    ...(isInBytes(state) && {
      done: doneWork(state),
      total: totalWork(state),
      totals: totalsOf(state),
      bytesPerSecond: Math.round(currentRate(state.rate)),
    }),
    seconds: rounded(elapsedSeconds(state, now), 3),
    ...(left !== undefined && { secondsLeft: rounded(left, 1) }),
  };
}

/** Joins two adjacent extents; `undefined` where they differ or are not adjacent. */
function joined(before: FinishedExtent, next: FinishedExtent): FinishedExtent | undefined {
  if (before.end !== next.start || before.kind !== next.kind || before.action !== next.action) return undefined;
  const seconds = rounded(before.seconds + next.seconds, 6);
  return { ...before, end: next.end, zeroes: before.zeroes + next.zeroes, seconds };
}

/**
 * Writes objects with `write`. Adjacent extents of one kind become one line. No line is dropped, so a reader that does not
 * read delays the job.
 */
export function jsonRenderer(write: (text: string) => void): Renderer {
  let pending: FinishedExtent | undefined;
  let statusAt = -Infinity;
  const line = (value: { readonly type: string }) => write(`${jsonText({ v: 2, ...value })}\n`);
  const flush = () => {
    if (pending !== undefined) line(pending);
    pending = undefined;
  };
  return {
    event(state, event, now) {
      // Only the screen uses these two; one line for each would be too many.
      if (event.type === "begin" || event.type === "load") return;
      if (event.type === "extent") {
        const longer = pending === undefined ? undefined : joined(pending, event);
        if (longer === undefined) flush();
        pending = longer ?? event;
      } else if (event.type !== "progress") {
        flush();
        line(event);
      }
      if (state.phase !== "copy" || now - statusAt < STATUS) return;
      statusAt = now;
      line({ type: "status", ...statusFields(state, now) });
    },
    note: () => {},
    end(outcome, state, now) {
      flush();
      if (!outcome.ok) line({ type: "error", ...outcome.diagnostic });
      line({ type: "summary", ...summaryFields(outcome, state, now) });
      return Promise.resolve();
    },
  };
}

function summaryFields(outcome: Outcome, state: Progress, now: number): { [name: string]: unknown } {
  const { ok, code } = outcome;
  if (outcome.ok && outcome.summary !== undefined) return { ok, exitCode: code, ...outcome.summary };
  return { ok, exitCode: code, totals: totalsOf(state), seconds: rounded(elapsedSeconds(state, now), 3) };
}
