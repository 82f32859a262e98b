/**
 * The parts of the main page. Pure: from the state to lines that are not painted yet.
 *
 * @module
 */
import { cellsOf, type CellState, LETTERS, type Range } from "./diskmap.ts";
import { stageLoads } from "./load.ts";
import { currentPhase, doneWork, type Model, type Note, type SettledRun, totalWork } from "./model.ts";
import { currentRate, meanRate, timeLeft, timeLeftText } from "./rate.ts";
import { columnsOf, cut, flowed, printable, shortened } from "./text.ts";
import {
  barText,
  type Line,
  lineColumns,
  type Span,
  span,
  sparkText,
  spread,
  type Style,
  type Theme,
} from "./theme.ts";
import { bytesText, percentText, shortTimeText, timeText } from "./units.ts";
import { named } from "./view_phases.ts";

const DOING: { readonly [phase: string]: string } = {
  inspect: "Inspecting",
  plan: "Planning",
  copy: "Copying",
  verify: "Verifying",
  finish: "Finishing",
};

const STATE_STYLES: { readonly [state in CellState]: Style } = {
  todo: "dim",
  data: "data",
  compressed: "compressed",
  zero: "zero",
  backing: "backing",
  flight: "flight",
  verified: "verified",
  error: "bad",
};

/** What is done right now, in a word. */
export function doingText(model: Model): string {
  if (model.stopping) return "Stopping";
  return model.paused ? "Paused" : named(DOING, currentPhase(model) || "inspect");
}

/** Source → target, and how long it has been. */
export function titleLine(model: Model, columns: number, { glyphs }: Theme): Line {
  const { job, target } = model;
  const right = ` ${timeText((model.now - model.startedAt) / 1000)}`;
  const format = model.sources?.[0]?.layers[0]?.format;
  const more = job.sources.length > 1 ? ` +${job.sources.length - 1}` : "";
  const from = `${format ? ` (${format})` : ""}${more}`;
  const size = target ? `, ${bytesText(target.size)}` : "";
  const wish = job.destination === undefined ? "" : ` for ${printable(job.destination)}`;
  const to = ` (${target?.format ?? job.format}${size})${wish}`;
  const room = columns - right.length - glyphs.arrow.length - 2;
  const sides = columnsOf(from) + columnsOf(to);
  // The names matter most: what stands in brackets goes where it would leave them less than this.
  const brackets = room - sides >= 24;
  const names = room - (brackets ? sides : 0);
  const [source, goal] = shared(printable(job.sources[0] ?? ""), printable(job.target), names, glyphs.cut);
  const left = [
    span(source, "title"),
    span(`${brackets ? from : ""} ${glyphs.arrow} `),
    span(goal, "title"),
    span(brackets ? to : ""),
  ];
  return spread(left, [span(right)], columns);
}

/** Two names in `columns` together; the shorter one gives what it does not need to the other. */
function shared(first: string, second: string, columns: number, mark: string): [string, string] {
  const half = Math.floor(columns / 2);
  const one = Math.min(columnsOf(first), Math.max(half, columns - columnsOf(second)));
  return [shortened(first, one, mark), shortened(second, columns - one, mark)];
}

/** How much of the present phase is done. */
export function barLine(model: Model, columns: number, theme: Theme): Line {
  const total = totalWork(model);
  const done = doneWork(model);
  const doing = doingText(model);
  if (total === 0) return [span(doing, "now")];
  const count = ` ${percentText(done, total).padStart(5)}`;
  const of = `  ${bytesText(done)} of ${bytesText(total)}`;
  const room = columns - doing.length - count.length - 1;
  const long = room - of.length >= 12;
  const width = Math.max(0, long ? room - of.length : room);
  return [
    span(`${doing} `, "now"),
    span(barText(done / total, width, theme), "key"),
    span(count),
    span(long ? of : ""),
  ];
}

/** The map as `rows` lines of letters. */
export function mapLines(model: Model, range: Range, columns: number, rows: number): Line[] {
  const { map } = model;
  if (!map) return [];
  const cells = cellsOf(map, range, columns * rows, model.inFlight);
  return Array.from({ length: rows }, (_, row) => joined(cells.slice(row * columns, (row + 1) * columns)));
}

/** Neighbours of one state become one span. */
function joined(cells: readonly CellState[]): Line {
  const spans: Span[] = [];
  for (let at = 0; at < cells.length;) {
    let end = at + 1;
    while (end < cells.length && cells[end] === cells[at]) end++;
    spans.push({ text: LETTERS[cells[at]].repeat(end - at), style: STATE_STYLES[cells[at]], columns: end - at });
    at = end;
  }
  return spans;
}

/** Heading of the map. */
export function mapHeading(range: Range, size: number, cells: number): Line {
  const cell = `one letter = ${bytesText((range.end - range.start) / cells)}`;
  const whole = range.start === 0 && range.end === size;
  const what = whole ? bytesText(size) : `${bytesText(range.start)} to ${bytesText(range.end)} of ${bytesText(size)}`;
  return [span("Disk", "key"), span(` ${what}, ${cell}`)];
}

/** Bytes of the whole disk by state. */
export function legendOf(model: Model): { readonly state: CellState; readonly name: string; readonly bytes: number }[] {
  const { done, job, map } = model;
  const copied = done.data - done.zeroes;
  const flight = model.inFlight.reduce((sum, one) => sum + one.end - one.start, 0);
  const settled = done.data + done.zero + done.skip;
  const todo = Math.max(0, (map?.size ?? 0) - settled - (currentPhase(model) === "copy" ? flight : 0));
  const rows = [
    { state: "todo", name: "to do", bytes: todo },
    { state: "flight", name: "in flight", bytes: flight },
    { state: job.compress ? "compressed" : "data", name: job.compress ? "compressed" : "data", bytes: copied },
    { state: "zero", name: "zero", bytes: done.zeroes + done.zero + done.skip - done.backing },
    { state: "backing", name: "backing", bytes: done.backing },
    { state: "verified", name: "verified", bytes: done.verified },
    { state: "error", name: "unreadable", bytes: done.bad },
  ] as const;
  const always: readonly CellState[] = ["todo", "flight", "data", "compressed", "zero"];
  return rows.filter((row) => row.bytes > 0 || always.includes(row.state));
}

/** The legend in as many lines as it needs. */
export function legendLines(model: Model, columns: number): Line[] {
  const items = legendOf(model).map(({ state, name, bytes }) => [
    span(LETTERS[state], STATE_STYLES[state]),
    span(` ${name} ${bytesText(bytes)}`),
  ]);
  return spaced(items, columns, 3);
}

function spaced(items: readonly Line[], columns: number, gap: number): Line[] {
  return flowed(items, columns, gap, lineColumns).map((line) =>
    line.flatMap((item, at) => at === 0 ? item : [span(" ".repeat(gap)), ...item])
  );
}

/** What was read, written and skipped. */
export function countLines(model: Model, columns: number): Line[] {
  const { done } = model;
  const written = done.data - done.zeroes;
  const settled = done.data + done.zero + done.skip;
  const pairs = [
    ["Read", bytesText(done.data)],
    ["Written", bytesText(written)],
    ["Skipped", bytesText(done.skip + done.zeroes + done.zero)],
    ["Ratio", settled === 0 ? "-" : percentText(written, settled)],
  ];
  return spaced(pairs.map(([name, value]) => [span(name, "key"), span(` ${value}`)]), columns, 3);
}

/** Speed and the time that is left. */
export function rateLine(model: Model, columns: number, theme: Theme): Line {
  const { rate } = model;
  const now = currentRate(rate);
  const mean = meanRate(rate);
  const left = timeLeft(rate, totalWork(model) - doneWork(model));
  const eta = left === null || model.paused || model.stopping ? "" : timeLeftText(left, theme.glyphs.dash, timeText);
  const speed = model.paused ? "paused" : now > 0 ? `${bytesText(now)}/s` : "-";
  const base: Line = [span("Rate", "key"), span(` ${speed}`)];
  const parts: Line[] = [
    eta === "" ? [] : [span(`, ${eta}`)],
    mean > 0 ? [span(`, ${bytesText(mean)}/s on average`)] : [],
  ];
  const line = parts.reduce((all, part) => lineColumns([...all, ...part]) <= columns ? [...all, ...part] : all, base);
  const room = columns - lineColumns(line) - 2;
  return room < 8 ? line : [...line, span("  "), span(sparkText(rate.history, Math.min(60, room), theme), "good")];
}

const STAGE_NAMES: { readonly [stage: string]: string } = {
  read: "read",
  decompress: "decompress",
  compress: "compress",
  write: "write",
};

/** How busy each stage is, and which one limits. */
export function stageLines(model: Model, columns: number, theme: Theme): Line[] {
  const stages = stageLoads(model.load, model.job.workers);
  if (stages.length === 0) return [];
  const width = columns >= 100 ? 10 : 0;
  const items: Line[] = stages.map(({ stage, share, limits }) => [
    span(STAGE_NAMES[stage] ?? printable(stage)),
    span(width > 0 ? ` ${barText(share, width, theme)}` : ""),
    span(` ${Math.round(share * 100)} %`),
    span(limits ? " limits" : "", "now"),
  ]);
  return spaced([[span("Busy", "key")], ...items], columns, 2);
}

const ACTS: { readonly [action in SettledRun["action"]]: string } = {
  copy: "copied",
  zero: "zeroes written",
  skip: "skipped",
};

/** What was done with a piece, in words. */
function actText(run: SettledRun, model: Model): string {
  if (currentPhase(model) === "verify") return "verified";
  if (run.action === "skip" && run.kind === "hole" && model.job.keepsBacking) return "left to backing";
  if (run.action !== "copy") return ACTS[run.action];
  if (run.zeroes === run.end - run.start) return "found zero";
  const done = model.job.compress ? "compressed" : ACTS.copy;
  return run.zeroes > 0 ? `${done}, ${bytesText(run.zeroes)} zero` : done;
}

/** Heading of the list of runs. */
export function runsHeading(model: Model): Line {
  return [span("Last runs", "key"), span(` of ${model.runCount}: offset, length, status, what was done, time`)];
}

/** One piece on one line. */
export function runLine(run: SettledRun, model: Model, columns: number): Line {
  const wide = columns >= 60;
  const offset = bytesText(run.start).padStart(10);
  const length = bytesText(run.end - run.start).padStart(10);
  const exact = columns >= 100 ? `${String(run.start).padStart(16)} ` : "";
  const text = `${exact}${offset} ${length}  ${run.kind.padEnd(5)}${actText(run, model)}`;
  const time = shortTimeText(run.seconds);
  return wide
    ? spread([span(cut(text, columns - time.length - 2, "~"))], [span(time)], Math.min(columns, 100))
    : [span(text)];
}

/** One message on one line. */
export function noteLine(note: Note, columns: number, { glyphs }: Theme): Line {
  const place = note.range ? ` at ${bytesText(note.range.start)}` : "";
  const kind = note.kind === "error" ? "Error" : "Warning";
  const text = `${place}: ${printable(note.message)}`;
  return [span(kind, note.kind === "error" ? "bad" : "now"), span(cut(text, columns - kind.length, glyphs.cut))];
}

/** The keys, as many as fit, or the question that waits for an answer. */
export function footerLine(model: Model, columns: number): Line {
  if (model.asking) return [span("Stop the conversion? y stops it, n goes on", "now")];
  if (model.stopping) return [span("Stopping; Ctrl-C again leaves at once", "now")];
  const back: readonly (readonly [string, string])[] = model.page === "main" ? [] : [["Esc", "back"]];
  const moves: readonly (readonly [string, string])[] = model.page === "map"
    ? [["m", "nearer"], ["M", "farther"], ["arrows", "move"]]
    : model.page === "main"
    ? []
    : [["arrows", "scroll"]];
  const keys = [...back, ...moves, ["?", "help"], ["p", model.paused ? "resume" : "pause"], ["q", "stop"], [
    "l",
    "runs",
  ], [
    "e",
    "errors",
  ], ["m", "map"]] as const;
  const items = keys.filter(([key], at) => keys.findIndex(([other]) => other === key) === at).map(([key, what]) => [
    span(key, "key"),
    span(` ${what}`),
  ]);
  return spaced(items, columns, 2)[0] ?? [];
}
