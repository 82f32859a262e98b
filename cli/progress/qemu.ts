/**
 * Progress as qemu-img writes it with `-p`.
 *
 * @module
 */
import { percent, totalWork } from "../../tui/progress.ts";
import { diagnosticText, type Io } from "../report/report.ts";
import type { Renderer } from "./progress.ts";

/** Writes to `io.out`: steps of at least one point, 0 and 100, a line feed at the end. */
export function qemuRenderer(io: Io): Renderer {
  let shown = 0;
  const write = (text: string) => {
    try {
      io.out(text);
    } catch {
      // Progress that cannot be written must not end the job; a result that follows throws by itself.
    }
  };
  const show = (value: number) => {
    shown = value;
    write(`    (${value.toFixed(2)}/100%)\r`);
  };
  show(0);
  return {
    event(state) {
      if (totalWork(state) === 0) return;
      const value = percent(state);
      if (value >= shown + 1 || (value === 100 && shown < 100)) show(value);
    },
    note: (text) => io.err(`${text}\n`),
    end(outcome) {
      if (outcome.ok) show(100);
      write("\n");
      if (!outcome.ok) io.err(diagnosticText(outcome.diagnostic));
    },
  };
}
