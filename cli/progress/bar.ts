/**
 * Progress as one line that is written over, for terminals.
 *
 * @module
 */
import { doneWork, isInBytes, isMeasured, percent, rate, secondsLeft, totalWork } from "./model.ts";
import type { Progress } from "./model.ts";
import { bytesText, timeText } from "../report/units.ts";
import { complaintText } from "../report/report.ts";
import type { Io } from "../report/report.ts";
import type { Renderer } from "./progress.ts";
import { summaryText } from "./plain.ts";

/** Milliseconds between two frames: smooth enough, and a slow terminal keeps up. */
const FRAME = 100;
const MIN_BAR = 10;
const MAX_BAR = 40;
const CLEAR = "\r\x1b[K";

const PHASES = { inspect: "Inspecting", plan: "Planning", finish: "Finishing" } as const;

/** The bar itself, `width` columns. */
export function barText(value: number, width: number, plain: boolean): string {
  const [full, empty] = plain ? ["#", "-"] : ["█", "░"];
  const cells = Math.floor(width * value / 100);
  return full.repeat(cells) + empty.repeat(width - cells);
}

/** The line for a state, at most `columns` wide: what matters least is left out first. */
export function barLine(state: Progress, now: number, columns: number, plain: boolean): string {
  const label = state.phase === "copy" ? state.label : PHASES[state.phase ?? "inspect"];
  if (!isMeasured(state)) return label.slice(0, columns);
  const value = percent(state);
  const speed = rate(state, now);
  const left = secondsLeft(state, now);
  const head = `${label} ${String(Math.floor(value)).padStart(3)} %`;
  const parts: string[] = [];
  if (isInBytes(state)) {
    parts.push(`${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}`.padStart(22));
    if (state.phase === "copy") parts.push((speed > 0 ? `${bytesText(speed)}/s` : "").padStart(12));
  }
  if (state.phase === "copy") {
    parts.push((left === undefined ? "" : `${timeText(left)} left`).padStart(12));
  }
  for (; parts.length > 0; parts.pop()) {
    const tail = parts.join(" ");
    const room = columns - head.length - tail.length - 4;
    if (room >= MIN_BAR) return `${head} [${barText(value, Math.min(room, MAX_BAR), plain)}] ${tail}`.trimEnd();
  }
  return head.slice(0, columns);
}

/** A bar on `io.err`. */
export function barRenderer(io: Io): Renderer {
  let shownAt = -Infinity;
  const show = (state: Progress, now: number) => {
    shownAt = now;
    // One column less: a line that fills the last one makes some terminals wrap.
    io.err(`${CLEAR}${barLine(state, now, io.columns() - 1, io.plain)}`);
  };
  return {
    event(state, event, now) {
      if (event.type === "phase" || now - shownAt >= FRAME) show(state, now);
    },
    note(text, state) {
      io.err(`${CLEAR}${text}\n`);
      show(state, io.now());
    },
    end(outcome) {
      if (!outcome.ok) return io.err(`${CLEAR}${complaintText(outcome.complaint)}`);
      io.err(CLEAR + (outcome.summary === undefined ? "" : `${summaryText(outcome.summary)}\n`));
    },
  };
}
