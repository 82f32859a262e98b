/**
 * Progress as lines, for logs; and no progress at all.
 *
 * @module
 */
import type { ConvertSummary } from "../../mod.ts";
import { bytesText, timeText } from "../../tui/human.ts";
import { doneWork, isInBytes, isMeasured, percent, type Progress, secondsLeft, totalWork } from "../../tui/progress.ts";
import { currentRate } from "../../tui/rate.ts";
import { diagnosticText, type Io, visible } from "../report/report.ts";
import type { Renderer } from "./progress.ts";

/** Least milliseconds between two lines. After them comes a line... */
const PAUSE = 10_000;
/** ...when the progress has grown by this many percentage points... */
const POINTS = 5;
/** ...or after this many milliseconds, so that a log shows that the job is alive. */
const ALIVE = 60_000;

/** Formats a finished job as one line. */
export function summaryText(summary: ConvertSummary): string {
  const { data, zeroes } = summary.totals;
  const zero = bytesText(Math.max(0, summary.size - data + zeroes));
  return `${visible(summary.path)}: ${bytesText(data - zeroes)} of data, ${zero} of zeroes or holes,` +
    ` ${bytesText(summary.fileSize)} in the file, ${timeText(summary.seconds)}`;
}

/** Formats a job under way as one line. */
export function statusText(state: Progress): string {
  const isCopying = state.phase === "copy";
  const rate = isCopying ? currentRate(state.rate) : 0;
  const left = isCopying ? secondsLeft(state) : undefined;
  const bytes = isInBytes(state)
    ? `, ${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}` + (rate > 0 ? `, ${bytesText(rate)}/s` : "")
    : "";
  return `${Math.floor(percent(state))} %${bytes}` +
    (left === undefined ? "" : `, ${timeText(left)} left`);
}

/** Writes lines to `io.err`. `always`: a last line however short the job was; else only after other lines. */
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
      io.err(`${statusText(state)}\n`);
    },
    note: (text) => io.err(`${text}\n`),
    end(outcome) {
      if (!outcome.ok) io.err(diagnosticText(outcome.diagnostic));
      else if ((always || wrote) && outcome.summary !== undefined) io.err(`${summaryText(outcome.summary)}\n`);
    },
  };
}

/** Writes warnings and errors alone. */
export function silentRenderer(io: Io): Renderer {
  return {
    event: () => {},
    note: (text) => io.err(`${text}\n`),
    end: (outcome) => outcome.ok || io.err(diagnosticText(outcome.diagnostic)),
  };
}
