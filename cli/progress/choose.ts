/**
 * Chooses the form of progress: the one that the options name, if the terminal can show it.
 *
 * @module
 */
import type { Depth } from "../../tui/palette.ts";
import { isSet, isTask } from "../process.ts";
import type { Io } from "../report/report.ts";
import { accessibleRenderer } from "./accessible.ts";
import { barRenderer } from "./bar.ts";
import { jsonRenderer } from "./json.ts";
import { plainRenderer, silentRenderer } from "./plain.ts";
import { outputOf } from "./progress.ts";
import type { ConversionReporter, ProgressForm, ProgressView, Renderer, Reporter } from "./progress.ts";
import { qemuRenderer } from "./qemu.ts";
import { reporterWith } from "./reporter.ts";
import type { ScreenedJob } from "./screen.ts";

/** Returns a reporter of the form in `view`. `label`: the name of the work. */
export function reporterFor(view: ProgressView, io: Io, label = "Copying"): Reporter {
  const form = formFor(view, io);
  const plainIo = withPlain(view, io);
  const options = { asEvents: form === "json", quiet: view.quiet, label };
  return reporterWith(rendererFor(form, plainIo, label), options, plainIo);
}

/**
 * Returns the form of a view. `accessible` replaces every form except those that programs read. In the qemu-img mode
 * progress is written only where an option asks for it.
 */
function formFor({ progress, accessible }: ProgressView, { asQemuImg }: Io): ProgressForm {
  if (asQemuImg && progress === "auto" && !accessible) return "none";
  const isForPeople = progress !== "json" && progress !== "qemu" && progress !== "none";
  return isForPeople && (accessible || isSet("ACCESSIBLE")) ? "accessible" : progress;
}

/** Returns `io`, restricted to plain characters where the view asks for ASCII. */
function withPlain({ ascii }: ProgressView, io: Io): Io {
  return ascii ? { ...io, plain: true, columns: io.columns, now: io.now } : io;
}

function rendererFor(form: ProgressForm, io: Io, label: string): Renderer {
  switch (form) {
    case "qemu":
      return qemuRenderer(io);
    case "bar":
      return barRenderer(io, label);
    case "plain":
      return plainRenderer(io, { label, always: true });
    case "json":
      return jsonRenderer(io.err);
    case "none":
      return silentRenderer(io);
    case "accessible":
      return accessibleRenderer(io, label);
    // Only conversions have a screen.
    case "screen":
    case "live":
    case "auto":
      // A short job in a pipe writes nothing, as with qemu-img.
      return io.errIsTerminal ? barRenderer(io, label) : plainRenderer(io, { label, always: false });
  }
}

/** Returns a reporter of a conversion: a screen where the options name it and the terminal can show it. */
export async function conversionReporter(
  shown: ScreenedJob,
  io: Io,
  signal: AbortSignal,
): Promise<ConversionReporter> {
  const { view } = shown;
  const form = formFor(view, io);
  if (form !== "screen" && form !== "live") return withoutScreen(view, io, signal);
  const { hasTerminal, hostTerminal } = await import("../../tui/screen.ts");
  const { fits, LEAST } = await import("../../tui/view.ts");
  const problem = screenProblem(hasTerminal(), () => fits(hostTerminal().size()), LEAST);
  if (problem !== undefined) {
    if (form === "live") return withoutScreen({ ...view, progress: view.withoutScreen ?? "auto" }, io, signal);
    const output = outputOf(io, "err");
    if (!view.quiet) output.keep(`diskcast: ${problem}\n`);
    const reporter = withoutScreen({ ...view, progress: "auto" }, io, signal);
    const end: typeof reporter.end = async (outcome) => {
      await output.drained();
      await reporter.end(outcome);
    };
    return { ...reporter, end };
  }
  const { screenReporter } = await import("./screen.ts");
  return await screenReporter({
    ...shown,
    io: withPlain(view, io),
    signal,
    terminal: hostTerminal(!isTask()),
    look: { ascii: view.ascii === true || Deno.build.os === "windows", depth: colourDepth() },
    exit: (code) => Deno.exit(code),
  });
}

/**
 * Returns how many colours the terminal has, from the variables that may be read; without any, 256, which nearly all have.
 */
function colourDepth(): Depth {
  if (Deno.noColor) return 0;
  if (isSet("COLORTERM", "truecolor") || isSet("COLORTERM", "24bit")) return 16777216;
  return isSet("TERM", "linux") || isSet("TERM", "xterm") || isSet("TERM", "vt100") ? 16 : 256;
}

function withoutScreen(view: ProgressView, io: Io, signal: AbortSignal): ConversionReporter {
  return { ...reporterFor(view, io), signal, phase: () => {} };
}

/** Returns why there can be no screen; `undefined`: there can. */
function screenProblem(
  hasTerminal: boolean,
  fits: () => boolean,
  least: { readonly columns: number; readonly rows: number },
): string | undefined {
  if (!hasTerminal) {
    return "the screen needs a terminal as standard input and standard error; progress is shown as with --progress=auto";
  }
  if (isSet("TERM", "dumb")) return "this terminal cannot show a screen; progress is shown as with --progress=auto";
  if (fits()) return undefined;
  return `the screen needs ${least.columns} columns and ${least.rows} rows; the bar is shown instead`;
}
