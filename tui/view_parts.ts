/**
 * The parts of the main page: functions from the state to lines without colour codes. Pure.
 *
 * @module
 */
import { cellsOf, type CellState, LETTERS, type Range } from "./diskmap.ts";
import { barText, bytesText, percentText, shortTimeText, timeText, visible } from "./human.ts";
import { isLeftToBacking, type Model, type Note } from "./model.ts";
import { doneWork, elapsedSeconds, type FinishedExtent, totalWork } from "./progress.ts";
import { currentRate, meanRate, timeLeft, timeLeftText } from "./rate.ts";
import { stageLoads } from "./stage_times.ts";
import { columnsOf, cut, flowed, shortened } from "./text.ts";
import { type Line, lineColumns, type Span, span, sparkText, spread, type Style, type Theme } from "./theme.ts";
import { phaseLabel } from "./view_phases.ts";

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

/** Returns the present phase as a participle, or `Paused` or `Stopping`. */
function doingText({ stopping, paused, progress }: Model): string {
  if (stopping) return "Stopping";
  return paused ? "Paused" : phaseLabel(DOING, progress.phase ?? "inspect");
}

/** Returns source → target, and the time since the beginning. */
export function titleLine(model: Model, columns: number, { glyphs }: Theme): Line {
  const { job, target } = model;
  const right = ` ${timeText(elapsedSeconds(model.progress, model.now))}`;
  const format = model.sources?.[0]?.layers[0]?.format;
  const more = job.sources.length > 1 ? ` +${job.sources.length - 1}` : "";
  const from = `${format ? ` (${format})` : ""}${more}`;
  const size = target ? `, ${bytesText(target.size)}` : "";
  const destination = job.destination === undefined ? "" : ` for ${visible(job.destination)}`;
  const to = ` (${target?.format ?? job.format}${size})${destination}`;
  const room = columns - right.length - glyphs.arrow.length - 2;
  const sides = columnsOf(from) + columnsOf(to);
  // The names matter most: the text in brackets is left out where it would leave them fewer than 24 columns.
  const brackets = room - sides >= 24;
  const names = room - (brackets ? sides : 0);
  const [sourceName, targetName] = fitted(visible(job.sources[0] ?? ""), visible(job.target), names, glyphs.cut);
  const left = [
    span(sourceName, "title"),
    span(`${brackets ? from : ""} ${glyphs.arrow} `),
    span(targetName, "title"),
    span(brackets ? to : ""),
  ];
  return spread(left, [span(right)], columns);
}

/** Cuts two names to `columns` together; a longer one may use the room that a shorter one leaves. */
function fitted(first: string, second: string, columns: number, mark: string): [string, string] {
  const half = Math.floor(columns / 2);
  const one = Math.min(columnsOf(first), Math.max(half, columns - columnsOf(second)));
  return [shortened(first, one, mark), shortened(second, columns - one, mark)];
}

/** Returns the bar of the present phase. */
export function barLine(model: Model, columns: number, theme: Theme): Line {
  const total = totalWork(model.progress);
  const done = doneWork(model.progress);
  const doing = doingText(model);
  if (total === 0) return [span(doing, "now")];
  const count = ` ${percentText(done, total).padStart(5)}`;
  const of = `  ${bytesText(done)} of ${bytesText(total)}`;
  const room = columns - doing.length - count.length - 1;
  const long = room - of.length >= 12;
  const width = Math.max(0, long ? room - of.length : room);
  return [
    span(`${doing} `, "now"),
    span(barText(done / total, width, theme.glyphs), "key"),
    span(count),
    span(long ? of : ""),
  ];
}

/** Returns the map as `rows` lines of letters. */
export function mapLines(model: Model, range: Range, columns: number, rows: number): Line[] {
  const { map } = model;
  if (!map) return [];
  const cells = cellsOf(map, range, columns * rows, model.inFlight);
  return Array.from({ length: rows }, (_, row) => joined(cells.slice(row * columns, (row + 1) * columns)));
}

/** Returns one span for each sequence of equal cells. */
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

/** Returns the heading of the map. */
export function mapHeading(range: Range, size: number, cells: number): Line {
  const cell = `one letter = ${bytesText((range.end - range.start) / cells)}`;
  const whole = range.start === 0 && range.end === size;
  const bytes = whole ? bytesText(size) : `${bytesText(range.start)} to ${bytesText(range.end)} of ${bytesText(size)}`;
  return [span("Disk", "key"), span(` ${bytes}, ${cell}`)];
}

/** Returns the bytes of the whole disk by state. */
function legendOf(model: Model): { readonly state: CellState; readonly name: string; readonly bytes: number }[] {
  const { job, map, leftToBacking, progress: { done, phase } } = model;
  const copied = done.data - done.zeroes;
  const flight = model.inFlight.reduce((sum, one) => sum + one.end - one.start, 0);
  const finished = done.data + done.zero + done.skip;
  const todo = Math.max(0, (map?.size ?? 0) - finished - (phase === "copy" ? flight : 0));
  const rows = [
    { state: "todo", name: "to do", bytes: todo },
    { state: "flight", name: "in flight", bytes: flight },
    { state: job.compress ? "compressed" : "data", name: job.compress ? "compressed" : "data", bytes: copied },
    { state: "zero", name: "zero", bytes: done.zeroes + done.zero + done.skip - leftToBacking },
    { state: "backing", name: "backing", bytes: leftToBacking },
    { state: "verified", name: "verified", bytes: done.verified },
    { state: "error", name: "unreadable", bytes: done.bad },
  ] as const;
  const always: readonly CellState[] = ["todo", "flight", "data", "compressed", "zero"];
  return rows.filter((row) => row.bytes > 0 || always.includes(row.state));
}

/** Returns the legend. */
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

/** Returns the bytes that were read, written and skipped. */
export function countLines(model: Model, columns: number): Line[] {
  const { done } = model.progress;
  const written = done.data - done.zeroes;
  const finished = done.data + done.zero + done.skip;
  const pairs = [
    ["Read", bytesText(done.data)],
    ["Written", bytesText(written)],
    ["Skipped", bytesText(done.skip + done.zeroes + done.zero)],
    ["Ratio", finished === 0 ? "-" : percentText(written, finished)],
  ];
  return spaced(pairs.map(([name, value]) => [span(name, "key"), span(` ${value}`)]), columns, 3);
}

/** Returns the rate, the remaining time and the history of the rate. */
export function rateLine(model: Model, columns: number, theme: Theme): Line {
  const { rate } = model.progress;
  const now = currentRate(rate);
  const mean = meanRate(rate);
  const left = timeLeft(rate, totalWork(model.progress) - doneWork(model.progress));
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

/** Columns of the bar of a stage. */
const STAGE_BAR = 10;

/** Returns how busy each stage is, and which one limits; with bars where all stages then fit on one line. */
export function stageLines(model: Model, columns: number, theme: Theme): Line[] {
  const stages = stageLoads(model.stageTimes, model.job.workers);
  if (stages.length === 0) return [];
  // Computed with the widest values, so that bars do not appear and disappear with the values.
  const widest = stages.reduce((sum, { stage }) => sum + `  ${stage}  100 %`.length + STAGE_BAR, "Busy limits".length);
  const hasBars = widest <= columns;
  const items: Line[] = stages.map(({ stage, share, limits }) => [
    span(visible(stage)),
    span(hasBars ? ` ${barText(share, STAGE_BAR, theme.glyphs)}` : ""),
    span(` ${Math.round(share * 100)} %`),
    span(limits ? " limits" : "", "now"),
  ]);
  return spaced([[span("Busy", "key")], ...items], columns, 2);
}

const ACTIONS: { readonly [action in FinishedExtent["action"]]: string } = {
  copy: "copied",
  zero: "zeroes written",
  skip: "skipped",
};

/** Returns the action on an extent, in words. */
function actionText(extent: FinishedExtent, model: Model): string {
  if (model.progress.phase === "verify") return "verified";
  if (isLeftToBacking(model, extent)) return "left to backing";
  if (extent.action !== "copy") return ACTIONS[extent.action];
  if (extent.zeroes === extent.end - extent.start) return "found zero";
  const done = model.job.compress ? "compressed" : ACTIONS.copy;
  return extent.zeroes > 0 ? `${done}, ${bytesText(extent.zeroes)} zero` : done;
}

/** Returns the heading of the list of extents. */
export function extentsHeading(model: Model): Line {
  return [span("Last runs", "key"), span(` of ${model.extentCount}: offset, length, status, what was done, time`)];
}

/** Returns an extent as one line. */
export function extentLine(extent: FinishedExtent, model: Model, columns: number): Line {
  const wide = columns >= 60;
  const offset = bytesText(extent.start).padStart(10);
  const length = bytesText(extent.end - extent.start).padStart(10);
  const exact = columns >= 100 ? `${String(extent.start).padStart(16)} ` : "";
  const text = `${exact}${offset} ${length}  ${extent.kind.padEnd(5)}${actionText(extent, model)}`;
  const time = shortTimeText(extent.seconds);
  return wide
    ? spread([span(cut(text, columns - time.length - 2, "~"))], [span(time)], Math.min(columns, 100))
    : [span(text)];
}

/** Returns a warning or an error as one line. */
export function noteLine(note: Note, columns: number, { glyphs }: Theme): Line {
  const location = note.range ? ` at ${bytesText(note.range.start)}` : "";
  const [label, style] = note.severity === "error" ? ["Error", "bad"] as const : ["Warning", "now"] as const;
  const text = `${location}: ${visible(note.message)}`;
  return [span(label, style), span(cut(text, columns - label.length, glyphs.cut))];
}

/** Returns the keys, as many as fit, or the open question. */
export function footerLine(model: Model, columns: number): Line {
  if (model.asking) return [span("Stop the conversion? y stops it, n goes on", "now")];
  if (model.stopping) return [span("Stopping; Ctrl-C again leaves at once", "now")];
  const back: readonly (readonly [string, string])[] = model.page === "main" ? [] : [["Esc", "back"]];
  const moves: readonly (readonly [string, string])[] = model.page === "map"
    ? [["m", "nearer"], ["M", "farther"], ["arrows", "move"]]
    : model.page === "main"
    ? []
    : [["arrows", "scroll"]];
  const always = [
    ["?", "help"],
    ["p", model.paused ? "resume" : "pause"],
    ["q", "stop"],
    ["l", "runs"],
    ["e", "errors"],
    ["m", "map"],
  ] as const;
  const keys = [...back, ...moves, ...always];
  const items = keys.filter(([key], at) => keys.findIndex(([other]) => other === key) === at)
    .map(([key, label]) => [span(key, "key"), span(` ${label}`)]);
  return spaced(items, columns, 2)[0] ?? [];
}
