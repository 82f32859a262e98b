/**
 * Progress as one line that is overwritten, for terminals.
 *
 * @module
 */
import { barText, bytesText, timeText } from "../../tui/human.ts";
import { doneWork, isInBytes, isMeasured, percent, type Progress, secondsLeft, totalWork } from "../../tui/progress.ts";
import { currentRate } from "../../tui/rate.ts";
import { diagnosticText, type Io } from "../report/report.ts";
import { summaryText } from "./plain.ts";
import { outputOf, type Renderer } from "./progress.ts";

/** Milliseconds between two frames: smooth enough, and a slow terminal keeps up. */
const FRAME = 100;
const MIN_BAR = 10;
const MAX_BAR = 40;
const CLEAR = "\r\x1b[K";

const PHASES: { readonly [phase: string]: string } = { plan: "Planning", finish: "Finishing" };

const BLOCKS = { full: "█", empty: "░" };
const ASCII_BLOCKS = { full: "#", empty: "-" };

/** The look of a bar. */
export interface BarStyle {
  /** Name of the work. */
  readonly label: string;
  readonly columns: number;
  /** ASCII alone. */
  readonly plain: boolean;
}

/** Returns the line of a state, at most `columns` wide: the least important parts are left out first. */
export function barLine(state: Progress, { label, columns, plain }: BarStyle): string {
  const isCopying = state.phase === "copy";
  const doing = isCopying ? label : PHASES[state.phase ?? ""] ?? "Inspecting";
  if (!isMeasured(state)) return doing.slice(0, columns);
  const head = `${doing} ${String(Math.floor(percent(state))).padStart(3)} %`;
  const parts: string[] = [];
  if (isInBytes(state)) {
    const rate = currentRate(state.rate);
    parts.push(`${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}`.padStart(22));
    if (isCopying) parts.push((rate > 0 ? `${bytesText(rate)}/s` : "").padStart(12));
  }
  if (isCopying) {
    const left = secondsLeft(state);
    parts.push((left === undefined ? "" : `${timeText(left)} left`).padStart(12));
  }
  for (; parts.length > 0; parts.pop()) {
    const tail = parts.join(" ");
    const room = columns - head.length - tail.length - 4;
    if (room < MIN_BAR) continue;
    const bar = barText(percent(state) / 100, Math.min(room, MAX_BAR), plain ? ASCII_BLOCKS : BLOCKS);
    return `${head} [${bar}] ${tail}`.trimEnd();
  }
  return head.slice(0, columns);
}

/** Writes a bar to `io.err`. */
export function barRenderer(io: Io, label: string): Renderer {
  const output = outputOf(io, "err");
  let shownAt = -Infinity;
  const show = (state: Progress, now: number) => {
    if (!output.ready()) return;
    shownAt = now;
    // One column less: a line that fills the last one makes some terminals wrap.
    output.frame(CLEAR + barLine(state, { label, columns: io.columns() - 1, plain: io.plain }));
  };
  return {
    event(state, event, now) {
      if (event.type === "phase" || now - shownAt >= FRAME) show(state, now);
    },
    note(text, state) {
      output.keep(`${CLEAR}${text}\n`);
      show(state, io.now());
    },
    end(outcome) {
      const text = outcome.ok
        ? outcome.summary === undefined ? "" : `${summaryText(outcome.summary)}\n`
        : diagnosticText(outcome.diagnostic);
      output.keep(CLEAR + text);
      return output.drained();
    },
  };
}
