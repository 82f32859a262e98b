/**
 * Progress in sentences, for screen readers: nothing is written over, no sign stands for a word, and a line every half
 * minute says that the job is alive.
 *
 * @module
 */
import { doneWork, isInBytes, isMeasured, percent, rate, secondsLeft, totalWork } from "./model.ts";
import type { Progress } from "./model.ts";
import { complaintText, visible } from "../report/report.ts";
import type { Io } from "../report/report.ts";
import type { Renderer } from "./progress.ts";
import { bytesText } from "../report/units.ts";

/** Milliseconds between two lines. */
const PAUSE = 30_000;

const PHASES: { readonly [phase: string]: string } = {
  inspect: "Looking at the source",
  plan: "Planning",
  finish: "Finishing",
};

/** Calls back again and again; gives a function that ends it. */
export type Every = (milliseconds: number, call: () => void) => () => void;

const byTimer: Every = (milliseconds, call) => {
  const timer = setInterval(call, milliseconds);
  return () => clearInterval(timer);
};

/** Seconds in words: about 3 minutes. */
export function durationText(seconds: number): string {
  const [unit, name] = seconds < 90 ? [1, "second"] : seconds < 5400 ? [60, "minute"] : [3600, "hour"];
  const count = Math.max(1, Math.round(seconds / unit));
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** What is being done: the work itself has the name of its command. */
function doingIn({ phase = "inspect", label }: Progress): string {
  return phase === "copy" ? label : PHASES[phase] ?? "Working";
}

/** How far a job is, as a sentence. */
export function sentence(state: Progress, now: number): string {
  const doing = doingIn(state);
  if (state.phase !== "copy" || !isMeasured(state)) {
    return `${doing}, still working after ${durationText((now - state.startedAt) / 1000)}.`;
  }
  const speed = rate(state, now);
  const left = secondsLeft(state, now);
  const bytes = isInBytes(state) ? `, ${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}` : "";
  const pace = speed === 0 ? ", still working" : isInBytes(state) ? `, ${bytesText(speed)} a second` : "";
  return `${doing}: ${Math.floor(percent(state))} percent${bytes}${pace}` +
    (left === undefined ? "" : `, about ${durationText(left)} left`) + ".";
}

/** Sentences on `io.err`. */
export function accessibleRenderer(io: Io, every: Every = byTimer): Renderer {
  let last: Progress | undefined;
  const stop = every(PAUSE, () => last && io.err(`${sentence(last, io.now())}\n`));
  return {
    event(state, event) {
      last = state;
      if (event.type === "phase") io.err(`${doingIn(state)}.\n`);
      if (event.type === "plan") {
        const { target, totals } = event;
        const what = `a disk of ${bytesText(target.size)}, of which ${bytesText(totals.data)} are to be copied`;
        io.err(`The target is "${visible(target.path)}", format ${target.format}: ${what}.\n`);
      }
    },
    note: (text) => io.err(`${text}\n`),
    end(outcome, _state, _now) {
      stop();
      if (!outcome.ok) return io.err(complaintText(outcome.complaint));
      const { summary } = outcome;
      if (summary === undefined) return;
      const took = `${bytesText(summary.fileSize)} in the file, in ${durationText(summary.seconds)}`;
      io.err(`Done: "${visible(summary.path)}" is complete, ${took}.\n`);
    },
  };
}
