/**
 * Progress as a screen: connects a conversion to the screen in `tui/`, which is loaded for this form only.
 *
 * @module
 */
import { diskContents, openDisk } from "../../mod.ts";
import type { ConvertJob, ConvertSummary } from "../../mod.ts";
import { bytesText, timeText } from "../../tui/human.ts";
import type { Model, Result, ScreenJob, ShownPartition } from "../../tui/model.ts";
import type { Look } from "../../tui/theme.ts";
import { elapsedSeconds } from "../../tui/progress.ts";
import type { Screen, Terminal } from "../../tui/screen.ts";
import type { ConvertView } from "../args/convert_args.ts";
import { shellWord } from "../permissions.ts";
import { onSignals, programWords } from "../process.ts";
import { diagnosticText, type Io, visible, warningText } from "../report/report.ts";
import type { ConversionReporter, Outcome } from "./progress.ts";

/** A conversion that a screen shows. */
export interface ScreenedJob {
  readonly job: ConvertJob;
  readonly view: ConvertView;
  /** The arguments after `convert`, for the command that repeats it. */
  readonly args: readonly string[];
}

/** Dependencies and settings of a screen. */
export interface ScreenSetup extends ScreenedJob {
  readonly io: Io;
  /** Aborted by the signals of the process. */
  readonly signal: AbortSignal;
  readonly terminal: Terminal;
  readonly look: Look;
  /** Ends the process. */
  readonly exit: (code: number) => void;
}

const SIGQUIT_EXIT = 131;
const SIGINT_EXIT = 130;

/** Returns the properties of a job that the screen shows. */
function screenJobOf(job: ConvertJob, view: ConvertView, phases: readonly string[]): ScreenJob {
  const { target } = job;
  const isStreamOptimized = String(target.options?.["subformat"] ?? "") === "streamOptimized";
  return {
    sources: job.sources.map((source) => source.path),
    target: target.path,
    format: target.format ?? "",
    ...(view.destination && { destination: view.destination.preset.title }),
    compress: target.compress === true || isStreamOptimized,
    keepsBacking: target.backing !== undefined,
    ...(job.rateLimit !== undefined && { rateLimit: job.rateLimit }),
    workers: job.workers ?? navigator.hardwareConcurrency,
    phases: view.destination ? [...phases, "verify"] : phases,
  };
}

/** Returns the partitions of the only source; none where they cannot be read: the job itself reports errors. */
async function partitionsOf({ sources, allowRefs, forceShare }: ConvertJob): Promise<ShownPartition[]> {
  const [source, another] = sources;
  if (another !== undefined) return [];
  try {
    const options = { ...(allowRefs && { allowRefs }), ...(forceShare !== undefined && { forceShare }) };
    await using disk = await openDisk(source!, options);
    const { partitions } = await diskContents(disk, disk.layers[0]?.disk.logicalSectorSize);
    return partitions.map(({ number, start, size, name, fileSystem }) => ({
      start,
      end: Math.min(start + size, disk.size),
      name: name || fileSystem?.name || `${number}`,
    }));
  } catch {
    return [];
  }
}

/** Returns a pause of a job: `paused` gives the promise that the job waits for, or `null`. */
function pauseSwitch(): { readonly paused: () => Promise<void> | null; pause(): void; resume(): void } {
  let pause: Promise<void> | null = null;
  let end = () => {};
  return {
    paused: () => pause,
    pause: () => void (pause ??= new Promise((resolve) => end = resolve)),
    resume() {
      end();
      pause = null;
    },
  };
}

/** Opens the screen. */
export async function screenReporter(setup: ScreenSetup): Promise<ConversionReporter> {
  const [{ openScreen }, { PHASES }, { loadWidths }] = await Promise.all([
    import("../../tui/screen.ts"),
    import("../../tui/model.ts"),
    import("../../tui/text.ts"),
  ]);
  const { io, signal, view } = setup;
  const partitions = await partitionsOf(setup.job);
  const job = { ...screenJobOf(setup.job, view, PHASES), ...(partitions.length > 0 && { partitions }) };
  await loadWidths([...job.sources, job.target].join(""));
  const stop = new AbortController();
  const pausing = pauseSwitch();
  const warnings: string[] = [];
  let failure: unknown;
  const screen = openScreen({
    terminal: setup.terminal,
    job,
    look: setup.look,
    onFailure: (error) => failure = error,
    onEffect(effect) {
      if (effect === "pause") return pausing.pause();
      pausing.resume();
      if (effect === "stop") stop.abort("SIGINT");
      if (effect === "exit") exitAtOnce(screen, setup, SIGINT_EXIT);
    },
  });
  const onAbort = () => screen.stopping();
  signal.addEventListener("abort", onAbort);
  const unwatch = onSignals(["SIGQUIT"], () => exitAtOnce(screen, setup, SIGQUIT_EXIT));
  const warn = (message: string) => {
    warnings.push(message);
    screen.event({ type: "warning", message });
  };
  return {
    signal: AbortSignal.any([signal, stop.signal]),
    paused: pausing.paused,
    writesDigest: true,
    event: (event) => event.type === "warning" ? warn(event.message) : screen.event(event),
    phase: (name) => screen.event({ type: "phase", phase: name }),
    warn,
    status: () => {},
    async end(outcome) {
      signal.removeEventListener("abort", onAbort);
      unwatch();
      pausing.resume();
      if (!view.noWait && !signal.aborted && !stop.signal.aborted) await shownResult(screen, outcome, setup);
      const model = await screen.close();
      const more = failure === undefined ? [] : [`The screen failed and was closed: ${failure}`];
      io.err(endText(outcome, model, [...warnings, ...more], setup));
    },
  };
}

/** Shows the result until a key or a signal. */
async function shownResult(screen: Screen, outcome: Outcome, { job, args, signal, look }: ScreenSetup): Promise<void> {
  if (outcome.ok && outcome.summary === undefined) return;
  const shown = screen.result(outcome.ok ? resultOf(outcome.summary!, job, args, look.ascii) : failureOf(outcome));
  await Promise.race([shown, new Promise<void>((leave) => signal.addEventListener("abort", () => leave()))]);
}

function resultOf(summary: ConvertSummary, job: ConvertJob, args: readonly string[], ascii: boolean): Result {
  const [text, ...rows] = summaryLines(summary, job, args, ascii);
  const [source] = job.sources;
  const command = job.sources.length === 1 && source.snapshot === undefined && typeof source.path === "string"
    ? ["compare", source.path, job.target.path]
    : ["info", job.target.path];
  return {
    ok: true,
    text,
    rows: rows.map((row): [string, string] => [row.slice(2, 10).trim(), row.slice(10)]),
    command: [...programWords(), ...command].map((word) => shellWord(word, Deno.build.os === "windows")).join(" "),
  };
}

function failureOf({ diagnostic: { message, hint } }: Outcome & { readonly ok: false }): Result {
  return { ok: false, text: message, rows: hint === undefined ? [] : [["hint", hint]] };
}

/** Milliseconds for a terminal to take what restores it before the process ends at once. */
const LEAVE = 300;

async function exitAtOnce(screen: Screen, { exit }: ScreenSetup, code: number): Promise<void> {
  await Promise.race([screen.close(), new Promise((resolve) => setTimeout(resolve, LEAVE))]);
  exit(code);
}

/** Warnings that are repeated after the screen is closed; of more than these only the number is. */
const MOST_WARNINGS = 20;

/** Returns the text that stays in the scrollback. */
function endText(
  outcome: Outcome,
  model: Model,
  warnings: readonly string[],
  { job, view, args, look }: Pick<ScreenSetup, "job" | "view" | "args" | "look">,
): string {
  const { done, totals } = model.progress;
  const lines = view.quiet ? [] : warningLines(warnings, done.bad);
  const text = lines.map((line) => `${line}\n`).join("");
  if (outcome.ok) {
    return text + (outcome.summary ? summaryLines(outcome.summary, job, args, look.ascii).join("\n") + "\n" : "");
  }
  const { data, zero } = totals ?? { data: 0, zero: 0 };
  const copied = data + zero > 0 ? `, with ${bytesText(done.data)} of ${bytesText(data)} of data copied` : "";
  const time = timeText(elapsedSeconds(model.progress, model.now));
  return `${text}${diagnosticText(outcome.diagnostic)}Ended after ${time}${copied}\n`;
}

function warningLines(warnings: readonly string[], bad: number): string[] {
  const shown = warnings.slice(0, MOST_WARNINGS).map((line) => warningText(line));
  const more = warnings.length - shown.length;
  return [
    ...shown,
    ...(more > 0 ? [`diskcast: ${more} more warnings`] : []),
    ...(bad > 0 ? [`diskcast: warning: ${bytesText(bad)} could not be read and became zeroes`] : []),
  ];
}

/** Formats a finished job as a few lines, with the command that repeats it. */
export function summaryLines(
  summary: ConvertSummary,
  job: ConvertJob,
  args: readonly string[],
  ascii: boolean,
): string[] {
  const { data, zeroes } = summary.totals;
  const sources = job.sources.map((source) => visible(source.path)).join(" + ");
  const rate = summary.seconds > 0 ? `, ${bytesText(data / summary.seconds)}/s read` : "";
  // The task `convert` gives this option, so that it is no part of the command that a user types.
  const typed = args.filter((arg) => arg !== "--progress=live");
  const command = [...programWords(), "convert", ...typed].map((word) => shellWord(word, Deno.build.os === "windows"));
  return [
    `${sources} ${ascii ? "->" : "→"} ${visible(summary.path)}`,
    `  disk    ${bytesText(summary.size)}, of which ${bytesText(data - zeroes)} are data`,
    `  file    ${bytesText(summary.fileSize)}, ${summary.format}`,
    `  time    ${timeText(summary.seconds)}${rate}`,
    ...(summary.sha256 === undefined ? [] : [`  sha256  ${summary.sha256}`]),
    ...(summary.blocksSha256 === undefined ? [] : [`  blocks-sha256  ${summary.blocksSha256}`]),
    `  again   ${visible(command.join(" "))}`,
  ];
}
