/**
 * The forms in which progress is shown. Writer, clock and width are handed in.
 *
 * @module
 */
import type { ConvertSummary } from "../../mod.ts";
import { advance, percent, startProgress, totalWork } from "./model.ts";
import type { JobEvent, Progress } from "./model.ts";
import { accessibleRenderer } from "./accessible.ts";
import { barRenderer } from "./bar.ts";
import { jsonRenderer } from "./json.ts";
import { plainRenderer, statusText } from "./plain.ts";
import { isSet } from "../process.ts";
import { complaintText, visible } from "../report/report.ts";
import type { Complaint, Io } from "../report/report.ts";

/** How progress is shown; `qemu` is `-p`, `accessible` is `--accessible`. */
export type ProgressForm = "auto" | "screen" | "accessible" | "bar" | "plain" | "json" | "none" | "qemu";

/** How a job ended. */
export type Outcome =
  | { readonly ok: true; readonly code: number; readonly summary: ConvertSummary | undefined }
  | { readonly ok: false; readonly code: number; readonly complaint: Complaint };

/** One form of progress. */
export interface Renderer {
  /** Called after the state has taken in the event. */
  event(state: Progress, event: JobEvent, now: number): void;
  /** A line beside the progress, such as a warning. */
  note(text: string, state: Progress): void;
  /** The last call. */
  end(outcome: Outcome, state: Progress, now: number): void;
}

/** What a command tells while it works. */
export interface Telling {
  event(event: JobEvent): void;
  warn(message: string): void;
  /** Tells how far the job is, whatever the form: a user has asked with a signal. */
  status(): void;
  end(outcome: Outcome): void;
}

/** Writes complaints as text; what all forms for people share. */
export function complain(io: Io, outcome: Outcome): void {
  if (!outcome.ok) io.err(complaintText(outcome.complaint));
}

/** No progress at all. */
function silentRenderer(io: Io): Renderer {
  return { event() {}, note: (text) => io.err(`${text}\n`), end: (outcome) => complain(io, outcome) };
}

/** The form of qemu-img, on standard output: a step of at least one point, 0 and 100, a line feed at the end. */
function qemuRenderer(io: Io): Renderer {
  let shown = 0;
  const say = (text: string) => {
    try {
      io.out(text);
    } catch {
      // Progress is not worth a job; a result that follows fails by itself.
    }
  };
  const show = (value: number) => {
    shown = value;
    say(`    (${value.toFixed(2)}/100%)\r`);
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
      say("\n");
      complain(io, outcome);
    },
  };
}

function rendererFor(form: ProgressForm, io: Io): Renderer {
  switch (form) {
    case "qemu":
      return qemuRenderer(io);
    case "bar":
      return barRenderer(io);
    case "plain":
      return plainRenderer(io, true);
    case "json":
      return jsonRenderer(io);
    case "none":
      return silentRenderer(io);
    case "accessible":
      return accessibleRenderer(io);
    // Where there is no screen, it is what is told without wishes.
    case "screen":
    case "auto":
      // A short job in a pipe says nothing, as with qemu-img.
      return io.errIsTerminal ? barRenderer(io) : plainRenderer(io, false);
  }
}

/** So many faults are told one by one. */
const FAULTS_TOLD = 20;

/** What to say of a part that could not be read: one damaged table can stand for a million of them. */
function badTeller(): (message: string) => string | null {
  let told = 0;
  let last: string | undefined;
  return (message) => {
    if (message === last || told > FAULTS_TOLD) return null;
    last = message;
    return ++told > FAULTS_TOLD ? "more cannot be read; it is counted, and no longer told one by one" : message;
  };
}

/** What the user wants to see of long work. */
export interface ProgressView {
  readonly progress: ProgressForm;
  /** No other characters than those of ASCII. */
  readonly ascii?: boolean;
  /** Sentences for screen readers. */
  readonly accessible?: boolean;
  readonly quiet: boolean;
}

/** The form that the user gets. Forms that a program reads are the same for everybody. */
export function formFor({ progress, accessible }: ProgressView): ProgressForm {
  const forPeople = progress !== "json" && progress !== "qemu" && progress !== "none";
  return forPeople && (accessible || isSet("ACCESSIBLE")) ? "accessible" : progress;
}

/** `io`, with plain characters if they are wanted. */
export function ioFor({ ascii }: ProgressView, io: Io): Io {
  return ascii ? { ...io, plain: true, columns: io.columns, now: io.now } : io;
}

/** Shows a job as `view` has it; `label`: what the work is called. */
export function tellFor(view: ProgressView, io: Io, label?: string): Telling {
  return tell(formFor(view), view.quiet, ioFor(view, io), label);
}

/** Shows a job in `form`. `quiet`: no warnings; `label`: what the work is called. */
export function tell(form: ProgressForm, quiet: boolean, io: Io, label?: string): Telling {
  const renderer = rendererFor(form, io);
  const json = form === "json";
  let state = startProgress(io.now(), label);
  const take = (event: JobEvent) => {
    const now = io.now();
    state = advance(state, event, now);
    renderer.event(state, event, now);
  };
  const tellBad = badTeller();
  const warn = (message: string) => {
    if (json) take({ type: "warning", message });
    else if (!quiet) renderer.note(`diskcast: warning: ${visible(message)}`, state);
  };
  return {
    warn,
    status: () => renderer.note(statusText(state, io.now()), state),
    event(event) {
      if (event.type === "warning") return warn(event.message);
      if (event.type === "bad" && !json) {
        const line = tellBad(event.message);
        if (line !== null) warn(line);
      }
      take(event);
    },
    end(outcome) {
      const bad = outcome.ok ? outcome.summary?.bad ?? [] : [];
      if (bad.length > 0 && !json) {
        const bytes = bad.reduce((sum, part) => sum + part.end - part.start, 0);
        warn(
          `${bytes} bytes in ${bad.length} ${
            bad.length === 1 ? "place" : "places"
          } could not be read and became zeroes`,
        );
      }
      renderer.end(outcome, state, io.now());
    },
  };
}
