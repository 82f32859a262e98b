/**
 * Progress in sentences, for screen readers: nothing is overwritten, no symbol replaces a word, and a line every half
 * minute shows that the job is alive.
 *
 * @module
 */
import type { ConvertSummary } from "../../mod.ts";
import { bytesText, durationText } from "../../tui/human.ts";
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

/** Milliseconds between two lines. */
const PAUSE = 30_000;

const PHASES: { readonly [phase: string]: string } = {
  inspect: "Looking at the source",
  plan: "Planning",
  finish: "Finishing",
};

/** Returns the name of the present phase; the phase `copy` has the name of the work. */
function doingIn({ phase = "inspect" }: Progress, label: string): string {
  return phase === "copy" ? label : PHASES[phase] ?? "Working";
}

/** Formats the state of a job as a sentence. */
function sentence(state: Progress, label: string, now: number): string {
  const doing = doingIn(state, label);
  if (state.phase !== "copy" || !isMeasured(state)) {
    return `${doing}, still working after ${durationText(elapsedSeconds(state, now))}.`;
  }
  const rate = currentRate(state.rate);
  const left = secondsLeft(state);
  const bytes = isInBytes(state) ? `, ${bytesText(doneWork(state))} of ${bytesText(totalWork(state))}` : "";
  const speed = rate === 0 ? ", still working" : isInBytes(state) ? `, ${bytesText(rate)} a second` : "";
  return `${doing}: ${Math.floor(percent(state))} percent${bytes}${speed}` +
    (left === undefined ? "" : `, about ${durationText(left)} left`) + ".";
}

function doneText({ path, fileSize, seconds }: ConvertSummary): string {
  const result = `${bytesText(fileSize)} in the file, in ${durationText(seconds)}`;
  return `Done: "${visible(path)}" is complete, ${result}.\n`;
}

/** Writes sentences to `io.err`. */
export function accessibleRenderer(io: Io, label: string, every: Every = byTimer): Renderer {
  const output = outputOf(io, "err");
  let last: Progress | undefined;
  const stop = every(PAUSE, () => {
    if (last === undefined) return;
    const now = io.now();
    output.frame(`${sentence(tick(last, now), label, now)}\n`);
  });
  return {
    event(state, event) {
      last = state;
      if (event.type === "phase") output.keep(`${doingIn(state, label)}.\n`);
      if (event.type === "plan") {
        const { target, totals } = event;
        const disk = `a disk of ${bytesText(target.size)}, of which ${bytesText(totals.data)} are to be copied`;
        output.keep(`The target is "${visible(target.path)}", format ${target.format}: ${disk}.\n`);
      }
    },
    note: (text) => output.keep(`${text}\n`),
    end(outcome) {
      stop();
      if (!outcome.ok) output.keep(diagnosticText(outcome.diagnostic));
      else if (outcome.summary !== undefined) output.keep(doneText(outcome.summary));
      return output.drained();
    },
  };
}
