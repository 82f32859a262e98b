/**
 * Progress as lines, for logs; and no progress at all.
 *
 * @module
 */
import type { ConvertSummary } from "../../mod.ts";
import { bytesText, timeText } from "../../tui/human.ts";
import {
  doneWork,
  elapsedSeconds,
  isInBytes,
  isMeasured,
  percent,
  type Progress,
  secondsLeft,
  tick,
  totalWork,
} from "../../tui/progress.ts";
import { currentRate } from "../../tui/rate.ts";
import { diagnosticText, type Io, visible } from "../report/report.ts";
import { byTimer, type Every, outputOf, type Renderer } from "./progress.ts";

/** Milliseconds after which a job in a pipe is long enough for a first line. */
const SHORT = 1000;
/** Milliseconds between two lines. */
const PAUSE = 10_000;
/** Milliseconds after which the timer starts: a shorter job does not load it. */
const TIMER_AFTER = 100;

const PHASES: { readonly [phase: string]: string } = { inspect: "Inspecting", plan: "Planning", finish: "Finishing" };

/** Formats a finished job as one line. */
export function summaryText(summary: ConvertSummary): string {
  const { data, zeroes } = summary.totals;
  const zero = bytesText(Math.max(0, summary.size - data + zeroes));
  return `${visible(summary.path)}: ${bytesText(data - zeroes)} of data, ${zero} of zeroes or holes,` +
    ` ${bytesText(summary.fileSize)} in the file, ${timeText(summary.seconds)}`;
}

/** Formats a job under way as one line. `label`: the name of the work. */
export function statusText(state: Progress, label: string, now: number): string {
  const { phase = "inspect" } = state;
  if (!isMeasured(state) || PHASES[phase] !== undefined) {
    return `${PHASES[phase] ?? label}, ${timeText(elapsedSeconds(state, now))} so far`;
  }
  const isCopying = phase === "copy";
  const rate = isCopying ? currentRate(state.rate) : 0;
  const left = isCopying ? secondsLeft(state) : undefined;
  const bytes = isInBytes(state)
    ? `, ${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}` + (rate > 0 ? `, ${bytesText(rate)}/s` : "")
    : "";
  return `${Math.floor(percent(state))} %${bytes}` + (left === undefined ? "" : `, ${timeText(left)} left`);
}

/** How lines are written. */
export interface LineOptions {
  /** Name of the work. */
  readonly label: string;
  /** Whether the first line comes at once and the last one always; else a job of less than a second writes none. */
  readonly always: boolean;
  readonly every?: Every;
}

/** Writes lines to `io.err`: after a second, and then every ten. */
export function plainRenderer(io: Io, { label, always, every = byTimer }: LineOptions): Renderer {
  const output = outputOf(io, "err");
  const begun = io.now();
  let shownAt: number | undefined;
  let last: Progress | undefined;
  let stop: (() => void) | undefined;
  const show = (state: Progress, now: number) => {
    last = state;
    const isDue = shownAt === undefined ? now - begun >= SHORT : now - shownAt >= PAUSE;
    if (!isDue && !(always && shownAt === undefined && state.phase === "copy")) return;
    shownAt = now;
    output.frame(`${statusText(state, label, now)}\n`);
  };
  return {
    event(state, _event, now) {
      show(state, now);
      // Events pause while a host flushes a file or punches a hole; the lines do not.
      if (now - begun < TIMER_AFTER) return;
      stop ??= every(SHORT, () => {
        const time = io.now();
        if (last !== undefined) show(tick(last, time), time);
      });
    },
    note: (text) => output.keep(`${text}\n`),
    end(outcome) {
      stop?.();
      if (!outcome.ok) output.keep(diagnosticText(outcome.diagnostic));
      else if ((always || shownAt !== undefined) && outcome.summary !== undefined) {
        output.keep(`${summaryText(outcome.summary)}\n`);
      }
      return output.drained();
    },
  };
}

/** Writes warnings and errors alone. */
export function silentRenderer(io: Io): Renderer {
  const output = outputOf(io, "err");
  return {
    event: () => {},
    note: (text) => output.keep(`${text}\n`),
    end(outcome) {
      if (!outcome.ok) output.keep(diagnosticText(outcome.diagnostic));
      return output.drained();
    },
  };
}
