/**
 * Progress as one JSON object a line, for programs. `v` is the version of this form; the last line is a `summary`.
 *
 * @module
 */
import type { ConvertEvent } from "../../mod.ts";
import { doneWork, isInBytes, percent, rate, secondsLeft, totalWork } from "./model.ts";
import type { Progress } from "./model.ts";
import type { Io } from "../report/report.ts";
import type { Outcome, Renderer } from "./progress.ts";

/** Milliseconds between two `status` lines. */
const STATUS = 250;

type RunEvent = ConvertEvent & { readonly type: "extent" };

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** The fields of a `status` line. */
function statusOf(state: Progress, now: number): { [name: string]: unknown } {
  const left = secondsLeft(state, now);
  return {
    phase: state.phase,
    percent: rounded(percent(state), 2),
    ...(isInBytes(state) && {
      done: doneWork(state),
      total: totalWork(state),
      totals: state.done,
      bytesPerSecond: Math.round(rate(state, now)),
    }),
    seconds: rounded((now - state.startedAt) / 1000, 3),
    ...(left !== undefined && { secondsLeft: rounded(left, 1) }),
  };
}

function joined(before: RunEvent, next: RunEvent): RunEvent | undefined {
  if (before.end !== next.start || before.kind !== next.kind || before.action !== next.action) return undefined;
  const seconds = rounded(before.seconds + next.seconds, 6);
  return { ...before, end: next.end, zeroes: before.zeroes + next.zeroes, seconds };
}

/** Objects on `io.err`. Runs that continue each other become one line. */
export function jsonRenderer(io: Io): Renderer {
  let pending: RunEvent | undefined;
  let statusAt = -Infinity;
  const line = (value: { readonly type: string }) => io.err(`${JSON.stringify({ v: 1, ...value })}\n`);
  const flush = () => {
    if (pending !== undefined) line(pending);
    pending = undefined;
  };
  return {
    event(state, event, now) {
      // What is only under way is of use to a screen; a line each would be many.
      if (event.type === "begin" || event.type === "load") return;
      if (event.type === "progress") {
        // Told by the status.
      } else if (event.type === "extent") {
        const longer = pending === undefined ? undefined : joined(pending, event);
        if (longer === undefined) flush();
        pending = longer ?? event;
      } else {
        flush();
        line(event);
      }
      if (state.phase !== "copy" || now - statusAt < STATUS) return;
      statusAt = now;
      line({ type: "status", ...statusOf(state, now) });
    },
    note: () => {},
    end(outcome, state, now) {
      flush();
      if (!outcome.ok) line({ type: "error", ...outcome.complaint });
      line({ type: "summary", ...endOf(outcome, state, now) });
    },
  };
}

function endOf(outcome: Outcome, state: Progress, now: number): { [name: string]: unknown } {
  const { ok, code } = outcome;
  if (outcome.ok && outcome.summary !== undefined) return { ok, exitCode: code, ...outcome.summary };
  return { ok, exitCode: code, totals: state.done, seconds: rounded((now - state.startedAt) / 1000, 3) };
}
