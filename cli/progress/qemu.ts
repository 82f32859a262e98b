/**
 * Progress as qemu-img writes it with `-p`.
 *
 * @module
 */
import { percent, type Progress, totalWork } from "../../tui/progress.ts";
import { diagnosticText, type Io } from "../report/report.ts";
import { directOutput, type ProgressOutput } from "../../tui/bounded_output.ts";
import { outputOf, type Renderer } from "./progress.ts";

function lineOf(value: number): string {
  return `    (${value.toFixed(2)}/100%)\r`;
}

/** Formats a job under way as one line, as qemu-img writes it on SIGUSR1. */
export function qemuStatusText(state: Progress): string {
  return `    (${(totalWork(state) === 0 ? 0 : percent(state)).toFixed(2)}/100%)`;
}

/** Returns `io.out`. Progress that cannot be written must not end the job; a result that follows throws by itself. */
function qemuOutput(io: Io): ProgressOutput {
  if (io.later) return outputOf(io, "out");
  return directOutput((text) => {
    try {
      io.out(text);
    } catch {
      // As above.
    }
  });
}

/** Writes to `io.out`: steps of at least one point, 0 and 100, a line feed at the end. */
export function qemuRenderer(io: Io): Renderer {
  const output = qemuOutput(io);
  const errors = outputOf(io, "err");
  let shown = 0;
  const show = (value: number) => {
    // Programs that read the progress expect the last line of qemu-img twice: at 100 percent, and at the end.
    const isLast = value === 100;
    if (!isLast && !output.ready()) return;
    shown = value;
    if (isLast) output.keep(lineOf(value));
    else output.frame(lineOf(value));
  };
  show(0);
  return {
    event(state) {
      if (totalWork(state) === 0) return;
      const value = percent(state);
      if (value >= shown + 1 || (value === 100 && shown < 100)) show(value);
    },
    note: (text) => errors.keep(`${text}\n`),
    async end(outcome) {
      output.keep(`${outcome.ok ? lineOf(100) : ""}\n`);
      await output.drained();
      if (!outcome.ok) errors.keep(diagnosticText(outcome.diagnostic));
      await errors.drained();
    },
  };
}
