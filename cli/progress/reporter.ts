/**
 * Passes events of a job to a renderer, with the state after each of them, and filters warnings.
 *
 * @module
 */
import { advance, type JobEvent, startProgress, tick } from "../../tui/progress.ts";
import { type Io, isWritten, warningText } from "../report/report.ts";
import { statusText } from "./plain.ts";
import type { Renderer, Reporter } from "./progress.ts";
import { qemuStatusText } from "./qemu.ts";

/** Read errors that are reported one by one. */
const READ_ERRORS_SHOWN = 20;

/** Returns a filter of read errors: one damaged table can cause a million of them. `null`: write nothing. */
function readErrorFilter(): (message: string) => string | null {
  let shown = 0;
  let last: string | undefined;
  return (message) => {
    if (message === last || shown > READ_ERRORS_SHOWN) return null;
    last = message;
    return ++shown > READ_ERRORS_SHOWN
      ? "more cannot be read; it is counted, and no longer reported one by one"
      : message;
  };
}

/** How warnings are written. */
export interface WarningOptions {
  /** Whether warnings are events, as for JSON; else they are notes of the renderer. */
  readonly asEvents: boolean;
  /** Whether notes are left out. */
  readonly quiet: boolean;
  /** Name of the work. */
  readonly label: string;
}

/** Returns a reporter that writes with `renderer`. */
export function reporterWith(renderer: Renderer, { asEvents, quiet, label }: WarningOptions, io: Io): Reporter {
  let state = startProgress(io.now());
  const render = (event: JobEvent) => {
    const now = io.now();
    state = tick(advance(state, event, now), now);
    renderer.event(state, event, now);
  };
  const filtered = readErrorFilter();
  const warn = (message: string, harmless = false) => {
    if (asEvents) render({ type: "warning", message });
    else if (!quiet && isWritten(harmless, io)) renderer.note(warningText(message), state);
  };
  return {
    warn,
    status() {
      state = tick(state, io.now());
      renderer.note(io.asQemuImg ? qemuStatusText(state) : statusText(state, label, io.now()), state);
    },
    event(event) {
      if (event.type === "warning") return warn(event.message, event.harmless);
      if (event.type === "bad" && !asEvents) {
        const line = filtered(event.message);
        if (line !== null) warn(line);
      }
      render(event);
    },
    async end(outcome) {
      const bad = outcome.ok ? outcome.summary?.bad ?? [] : [];
      if (bad.length > 0 && !asEvents) {
        const bytes = bad.reduce((sum, range) => sum + range.end - range.start, 0);
        const ranges = bad.length === 1 ? "1 place" : `${bad.length} places`;
        warn(`${bytes} bytes in ${ranges} could not be read and became zeroes`);
      }
      await renderer.end(outcome, state, io.now());
    },
  };
}
