/**
 * Which form of progress a conversion gets: what is wished for, as far as the terminal can show it.
 *
 * @module
 */
import type { ConvertJob } from "../../mod.ts";
import type { ConvertView } from "../args/convert_args.ts";
import { isSet } from "../process.ts";
import { formFor, ioFor, tellFor, type Telling } from "./progress.ts";
import type { JobTelling } from "./screen.ts";
import type { Io } from "../report/report.ts";

/** What is shown, and for whom. */
export interface JobShown {
  readonly job: ConvertJob;
  readonly view: ConvertView;
  /** The words after `convert`. */
  readonly words: readonly string[];
}

/** Shows a conversion. `signal` is raised by the signals of the process. */
export async function tellJob(shown: JobShown, io: Io, signal: AbortSignal): Promise<JobTelling> {
  const { view } = shown;
  if (formFor(view) !== "screen") return plainly(tellFor(view, io), signal);
  const screen = await import("../../tui/screen.ts");
  const { fits, LEAST } = await import("../../tui/view.ts");
  const problem = screenProblem(screen.hasTerminal(), () => fits(screen.hostTerminal().size()), LEAST);
  if (problem !== undefined) {
    if (!view.quiet) io.err(`diskcast: ${problem}\n`);
    return plainly(tellFor({ ...view, progress: "auto" }, io), signal);
  }
  const { screenTelling } = await import("./screen.ts");
  const terminal = screen.hostTerminal();
  const look = { ascii: view.ascii === true || Deno.build.os === "windows", colour: !Deno.noColor };
  return await screenTelling({
    ...shown,
    io: ioFor(view, io),
    signal,
    terminal,
    look,
    leave: (code) => Deno.exit(code),
  });
}

function plainly(telling: Telling, signal: AbortSignal): JobTelling {
  return { ...telling, signal, phase: () => {} };
}

/** Why there is no screen. */
export function screenProblem(
  hasTerminal: boolean,
  fits: () => boolean,
  least: { readonly columns: number; readonly rows: number },
): string | undefined {
  if (!hasTerminal) {
    return "the screen needs a terminal as standard input and standard error; progress is told as --progress=auto does";
  }
  if (isSet("TERM", "dumb")) return "this terminal cannot show a screen; progress is told as --progress=auto does";
  if (fits()) return undefined;
  return `the screen needs ${least.columns} columns and ${least.rows} rows; the bar is shown instead`;
}
