/**
 * Progress as a screen: the job's side of it. The picture itself is made in tui/, which is loaded only for this.
 *
 * @module
 */
import type { ConvertJob, ConvertSummary } from "../../mod.ts";
import type { Model, ScreenEvent, ScreenJob } from "../../tui/model.ts";
import type { Screen, Terminal } from "../../tui/screen.ts";
import type { ConvertView } from "../args/convert_args.ts";
import { shellWord } from "../permissions.ts";
import type { Outcome, Telling } from "./progress.ts";
import { complaintText, type Io, visible } from "../report/report.ts";
import { onSignals } from "../process.ts";
import { bytesText, timeText } from "../report/units.ts";

/** What the telling of a conversion gives back to it. */
export interface JobTelling extends Telling {
  /** Raised by the signals of the process and, where there is a screen, by its keys. */
  readonly signal: AbortSignal;
  /** See `ConvertContext`; absent: nothing can checkpoint the job. */
  readonly paused?: () => Promise<void> | null;
  /** Names a phase that the job itself does not know. */
  phase(name: string): void;
  /** Whether its last words have the digest. */
  readonly tellsDigest?: boolean;
}

/** What a screen is opened for. */
export interface ScreenWish {
  readonly job: ConvertJob;
  readonly view: ConvertView;
  /** The words after `convert`, for the command that would repeat it. */
  readonly words: readonly string[];
  readonly io: Io;
  /** Raised by the signals of the process. */
  readonly signal: AbortSignal;
  readonly terminal: Terminal;
  readonly look: { readonly ascii: boolean; readonly colour: boolean };
  /** Ends the process. */
  readonly leave: (code: number) => void;
}

const SIGQUIT_EXIT = 131;
const SIGINT_EXIT = 130;

/** What a screen may know before the job begins. */
export function screenJobOf(job: ConvertJob, view: ConvertView, phases: readonly string[]): ScreenJob {
  const { target } = job;
  const streams = String(target.options?.["subformat"] ?? "") === "streamOptimized";
  return {
    sources: job.sources.map((source) => source.path),
    target: target.path,
    format: target.format ?? "",
    ...(view.destination && { destination: view.destination.preset.title }),
    compress: target.compress === true || streams,
    keepsBacking: target.backing !== undefined,
    workers: job.workers ?? navigator.hardwareConcurrency,
    phases: view.destination ? [...phases, "verify"] : phases,
  };
}

/** Whether a job rests: what its pace asks, and the two keys that change it. */
function rests(): { readonly paused: () => Promise<void> | null; pause(): void; resume(): void } {
  let rest: Promise<void> | null = null;
  let end = () => {};
  return {
    paused: () => rest,
    pause: () => void (rest ??= new Promise((resolve) => end = resolve)),
    resume() {
      end();
      rest = null;
    },
  };
}

/** Shows the screen. */
export async function screenTelling(wish: ScreenWish): Promise<JobTelling> {
  const [{ openScreen }, { PHASES }, { themeOf }, { loadWidths }] = await Promise.all([
    import("../../tui/screen.ts"),
    import("../../tui/model.ts"),
    import("../../tui/theme.ts"),
    import("../../tui/text.ts"),
  ]);
  const { io, signal, view } = wish;
  const job = screenJobOf(wish.job, view, PHASES);
  await loadWidths([...job.sources, job.target].join(""));
  const stop = new AbortController();
  const rest = rests();
  const warnings: string[] = [];
  let failure: unknown;
  const screen = openScreen({
    terminal: wish.terminal,
    job,
    theme: themeOf(wish.look),
    onFailure: (error) => failure = error,
    onEffect(effect) {
      if (effect === "pause") return rest.pause();
      rest.resume();
      if (effect === "stop") stop.abort("SIGINT");
      if (effect === "exit") leaveAtOnce(screen, wish, SIGINT_EXIT);
    },
  });
  const onAbort = () => screen.stopping();
  signal.addEventListener("abort", onAbort);
  const unwatch = onSignals(["SIGQUIT"], () => leaveAtOnce(screen, wish, SIGQUIT_EXIT));
  const send = (event: ScreenEvent) => screen.event(event);
  const warn = (message: string) => {
    warnings.push(message);
    send({ type: "warning", message });
  };
  return {
    signal: AbortSignal.any([signal, stop.signal]),
    paused: rest.paused,
    tellsDigest: true,
    event(event) {
      if (event.type === "warning") return warn(event.message);
      // Scans have no screen of their own yet.
      if (event.type !== "totals") send(event as ScreenEvent);
    },
    phase: (name) => send({ type: "phase", phase: name }),
    warn,
    status: () => {},
    end(outcome) {
      signal.removeEventListener("abort", onAbort);
      unwatch();
      rest.resume();
      const model = screen.close();
      const said = [...warnings, ...(failure === undefined ? [] : [`The screen failed and was closed: ${failure}`])];
      io.err(endText(outcome, model, said, wish));
    },
  };
}

function leaveAtOnce(screen: Screen, { leave }: ScreenWish, code: number): void {
  screen.close();
  leave(code);
}

/** Warnings that are repeated after the screen has gone; of more than these only the number. */
const MOST_WARNINGS = 20;

/** What stays in the scrollback. */
export function endText(
  outcome: Outcome,
  model: Model,
  warnings: readonly string[],
  { job, view, words, look }: Pick<ScreenWish, "job" | "view" | "words" | "look">,
): string {
  const lines = view.quiet ? [] : warningLines(warnings, model.done.bad);
  const text = lines.map((line) => `${line}\n`).join("");
  if (outcome.ok) {
    return text + (outcome.summary ? summaryLines(outcome.summary, job, words, look.ascii).join("\n") + "\n" : "");
  }
  const { data, zero } = model.totals ?? { data: 0, zero: 0 };
  const far = data + zero > 0 ? `, with ${bytesText(model.done.data)} of ${bytesText(data)} of data copied` : "";
  const when = timeText((model.now - model.startedAt) / 1000);
  return `${text}${complaintText(outcome.complaint)}Ended after ${when}${far}\n`;
}

function warningLines(warnings: readonly string[], bad: number): string[] {
  const shown = warnings.slice(0, MOST_WARNINGS).map((line) => `diskcast: warning: ${visible(line)}`);
  const more = warnings.length - shown.length;
  return [
    ...shown,
    ...(more > 0 ? [`diskcast: ${more} more warnings`] : []),
    ...(bad > 0 ? [`diskcast: warning: ${bytesText(bad)} could not be read and became zeroes`] : []),
  ];
}

/** A finished job in a few lines, with the command that would repeat it. */
export function summaryLines(
  summary: ConvertSummary,
  job: ConvertJob,
  words: readonly string[],
  ascii: boolean,
): string[] {
  const { data, zeroes } = summary.totals;
  const sources = job.sources.map((source) => visible(source.path)).join(" + ");
  const rate = summary.seconds > 0 ? `, ${bytesText(data / summary.seconds)}/s read` : "";
  const command = ["diskcast", "convert", ...words].map((word) => shellWord(word, Deno.build.os === "windows"));
  return [
    `${sources} ${ascii ? "->" : "→"} ${visible(summary.path)}`,
    `  disk    ${bytesText(summary.size)}, of which ${bytesText(data - zeroes)} are data`,
    `  file    ${bytesText(summary.fileSize)}, ${summary.format}`,
    `  time    ${timeText(summary.seconds)}${rate}`,
    ...(summary.sha256 === undefined ? [] : [`  sha256  ${summary.sha256}`]),
    `  again   ${visible(command.join(" "))}`,
  ];
}
