/**
 * The contract between commands and the forms of progress.
 *
 * @module
 */
import type { ConvertSummary } from "../../mod.ts";
import type { JobEvent, Progress } from "../../tui/progress.ts";
import { boundedOutput, directOutput, type ProgressOutput } from "../../tui/bounded_output.ts";
import type { Diagnostic, Io } from "../report/report.ts";

/** How progress is shown; `qemu` is `-p`, `accessible` is `--accessible`. */
export type ProgressForm = "auto" | "live" | "screen" | "accessible" | "bar" | "plain" | "json" | "none" | "qemu";

/** The options of the user about progress. */
export interface ProgressView {
  readonly progress: ProgressForm;
  /** The form in place of `live` where the terminal can show no screen; default: `auto`. */
  readonly withoutScreen?: ProgressForm;
  /** Write ASCII alone. */
  readonly ascii?: boolean;
  /** Write sentences for screen readers. */
  readonly accessible?: boolean;
  /** Write no warnings. */
  readonly quiet: boolean;
}

/** How a job ended. */
export type Outcome =
  | { readonly ok: true; readonly code: number; readonly summary: ConvertSummary | undefined }
  | { readonly ok: false; readonly code: number; readonly diagnostic: Diagnostic };

/** One form of progress: writes the state of a job. */
export interface Renderer {
  /** Called for each event, with the state after it. */
  event(state: Progress, event: JobEvent, now: number): void;
  /** Writes a line beside the progress, such as a warning. */
  note(text: string, state: Progress): void;
  /** Writes how the job ended, and resolves when all text is written. The last call. */
  end(outcome: Outcome, state: Progress, now: number): Promise<void>;
}

/** Returns the output of progress on one of the streams: such output never delays the job. */
export function outputOf(io: Io, stream: "out" | "err"): ProgressOutput {
  return io.later ? boundedOutput(io.later[stream]) : directOutput((text) => io[stream](text));
}

/** Calls a function at intervals; returns a function that ends this. */
export type Every = (milliseconds: number, call: () => void) => () => void;

/** Calls a function at intervals of the clock. */
export const byTimer: Every = (milliseconds, call) => {
  const timer = setInterval(call, milliseconds);
  return () => clearInterval(timer);
};

/** Reports a job to the user. */
export interface Reporter {
  event(event: JobEvent): void;
  /** Writes a warning; `harmless` as in `ConvertEvent`. */
  warn(message: string, harmless?: boolean): void;
  /** Writes how far the job is, for a user who asks with a signal. */
  status(): void;
  /** Writes how the job ended, and resolves when all text is written. */
  end(outcome: Outcome): Promise<void>;
}

/** Reports a conversion, which the user may stop and pause. */
export interface ConversionReporter extends Reporter {
  /** Aborted by the signals of the process and, where there is a screen, by its keys. */
  readonly signal: AbortSignal;
  /** As in `ConvertContext`; absent: the user cannot pause the job. */
  readonly paused?: () => Promise<void> | null;
  /** Shows a phase that is not part of the job. Only a screen does. */
  phase(name: string): void;
  /** Whether `end` writes the digest. */
  readonly writesDigest?: boolean;
}
