/**
 * Progress as lines, for logs.
 *
 * @module
 */
import type { ConvertSummary } from "../../mod.ts";
import { doneWork, isInBytes, isMeasured, percent, rate, secondsLeft, totalWork } from "./model.ts";
import type { Progress } from "./model.ts";
import { bytesText, timeText } from "../report/units.ts";
import { complaintText, visible } from "../report/report.ts";
import type { Io } from "../report/report.ts";
import type { Renderer } from "./progress.ts";

/** Milliseconds that must lie between two lines. */
const PAUSE = 10_000;
/** After the pause: a line for this much progress... */
const POINTS = 5;
/** ...or after this time, so that a log shows that the job is alive. */
const ALIVE = 60_000;

/** One line for a finished job. */
export function summaryText(summary: ConvertSummary): string {
  const { data, zeroes } = summary.totals;
  const nothing = summary.size - data + zeroes;
  return `${visible(summary.path)}: ${bytesText(data - zeroes)} of data, ${
    bytesText(Math.max(0, nothing))
  } of zeroes or holes,` +
    ` ${bytesText(summary.fileSize)} in the file, ${timeText(summary.seconds)}`;
}

/** One line for a job under way. */
export function statusText(state: Progress, now: number): string {
  const speed = rate(state, now);
  const left = secondsLeft(state, now);
  const bytes = isInBytes(state)
    ? `, ${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}` + (speed > 0 ? `, ${bytesText(speed)}/s` : "")
    : "";
  return `${Math.floor(percent(state))} %${bytes}` +
    (left === undefined ? "" : `, ${timeText(left)} left`);
}

/** Lines on `io.err`. `always`: a last line however short the job was; else only after other lines. */
export function plainRenderer(io: Io, always: boolean): Renderer {
  let shown = 0;
  let shownAt = io.now();
  let wrote = false;
  return {
    event(state, _event, now) {
      if (!isMeasured(state) || state.phase !== "copy" || now - shownAt < PAUSE) return;
      const value = percent(state);
      if (wrote && value - shown < POINTS && now - shownAt < ALIVE) return;
      [shown, shownAt, wrote] = [value, now, true];
      io.err(`${statusText(state, now)}\n`);
    },
    note: (text) => io.err(`${text}\n`),
    end(outcome) {
      if (!outcome.ok) io.err(complaintText(outcome.complaint));
      else if ((always || wrote) && outcome.summary !== undefined) io.err(`${summaryText(outcome.summary)}\n`);
    },
  };
}
