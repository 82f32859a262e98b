/**
 * The parts of the main page: functions from the state to lines without colour codes. Pure.
 *
 * @module
 */
import { bytesText, percentText, sizeText, timeText, visible } from "./human.ts";
import { barSpans, chartLines, type Line, lineColumns, spaced, span, spread } from "./line.ts";
import type { Model } from "./model.ts";
import { doneWork, elapsedSeconds, totalWork } from "./progress.ts";
import { currentRate, meanRate, timeLeft, timeLeftText } from "./rate.ts";
import { stageLoads } from "./stage_times.ts";
import { columnsOf, shortened } from "./text.ts";
import type { Theme } from "./theme.ts";
import { phaseLabel } from "./view_phases.ts";

const DOING: { readonly [phase: string]: string } = {
  inspect: "Inspecting",
  plan: "Planning",
  copy: "Copying",
  verify: "Verifying",
  finish: "Finishing",
};

/** Returns the present phase as a participle, or `Paused` or `Stopping`. */
function doingText({ stopping, paused, progress, result }: Model): string {
  if (result) return result.ok ? "Done" : "Failed";
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
  const state = model.stopping || model.paused ? "flight" : model.job.compress ? "compressed" : "data";
  return [
    span(`${doing} `, "now"),
    ...barSpans(done / total, width, state, theme),
    span(count, "title"),
    span(long ? of : ""),
  ];
}

/** Returns the bytes that were read, written and skipped, and the written share of the disk so far. */
export function countLines(model: Model, columns: number): Line[] {
  const { done } = model.progress;
  const written = done.data - done.zeroes;
  const finished = done.data + done.zero + done.skip;
  const pairs = [
    ["Read", bytesText(done.data)],
    ["Written", bytesText(written)],
    ["Skipped", bytesText(done.skip + done.zeroes + done.zero)],
    ["Written of covered", finished === 0 ? "-" : percentText(written, finished)],
  ];
  return spaced(pairs.map(([name, value]) => [span(name, "key"), span(` ${value}`)]), columns, 3);
}

/** Returns the current rate as text. */
function speedText({ paused, progress: { rate } }: Model): string {
  const now = currentRate(rate);
  return paused ? "paused" : now > 0 ? `${bytesText(now)}/s` : "-";
}

/** Returns the remaining time as text; empty where it is not known. */
export function leftText(model: Model, { glyphs }: Theme): string {
  const { progress } = model;
  const left = timeLeft(progress.rate, totalWork(progress) - doneWork(progress));
  return left === null || model.paused || model.stopping || model.result
    ? ""
    : timeLeftText(left, glyphs.dash, timeText);
}

/** Returns the rate, the remaining time and the history of the rate on one line. */
export function rateLine(model: Model, columns: number, theme: Theme): Line {
  const { rate } = model.progress;
  const mean = meanRate(rate);
  const eta = leftText(model, theme);
  const base: Line = [span("Rate", "key"), span(` ${speedText(model)}`)];
  const parts: Line[] = [
    eta === "" ? [] : [span(`, ${eta}`)],
    mean > 0 ? [span(`, ${bytesText(mean)}/s on average`)] : [],
  ];
  const line = parts.reduce((all, part) => lineColumns([...all, ...part]) <= columns ? [...all, ...part] : all, base);
  const room = columns - lineColumns(line) - 2;
  return room < 8 ? line : [...line, span("  "), ...chartLines(rate.history, Math.min(60, room), 1, theme)[0]];
}

/** Returns the rate as figures above a chart of `rows - 1` lines. */
export function rateLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const { rate } = model.progress;
  const mean = meanRate(rate);
  const figures: Line[] = [
    [span("now ", "dim"), span(speedText(model), "title")],
    [span("mean ", "dim"), span(mean > 0 ? `${bytesText(mean)}/s` : "-")],
    [span("most ", "dim"), span(rate.history.length > 0 ? `${bytesText(Math.max(...rate.history))}/s` : "-")],
  ];
  return [spaced(figures, columns, 3)[0], ...chartLines(rate.history, columns, Math.max(1, rows - 1), theme)];
}

/** Columns of the bar of a stage. */
const STAGE_BAR = 10;

/** Share of the rate limit from which it limits the copy, and not a stage. */
const AT_LIMIT = 0.85;

/** Returns the text about the rate limit where it limits the copy. */
function limitText({ job: { rateLimit }, progress, paused }: Model): string | undefined {
  if (!rateLimit || paused || currentRate(progress.rate) < AT_LIMIT * rateLimit) return undefined;
  return `-r ${sizeText(rateLimit)} limits`;
}

/** Returns how busy each stage is, and which one limits; with bars where all stages then fit on one line. */
export function stageLines(model: Model, columns: number, theme: Theme): Line[] {
  const stages = stageLoads(model.stageTimes, model.job.workers);
  const limit = limitText(model);
  if (stages.length === 0) return [];
  // Computed with the widest values, so that bars do not appear and disappear with the values.
  const widest = stages.reduce((sum, { stage }) => sum + `  ${stage}  100 %`.length + STAGE_BAR, "Busy limits".length);
  const hasBars = widest <= columns;
  const items: Line[] = stages.map(({ stage, share, limits }) => [
    span(visible(stage)),
    ...(hasBars ? [span(" "), ...barSpans(share, STAGE_BAR, "data", theme)] : []),
    span(` ${Math.round(share * 100)} %`),
    span(limits && limit === undefined ? " limits" : "", "now"),
  ]);
  return spaced([[span("Busy", "key")], ...items, ...(limit ? [[span(limit, "now")]] : [])], columns, 2);
}

/** Returns how busy the stages are, a line for each, and the counts where there is room. */
export function workLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const limit = limitText(model);
  const stages = stageLoads(model.stageTimes, model.job.workers);
  const room = columns - "decompress ".length - " 100 % limits".length;
  const lines = stages.map(({ stage, share, limits }): Line => [
    span(visible(stage).padEnd(11)),
    ...(room >= 4 ? barSpans(share, room, limits && limit === undefined ? "flight" : "data", theme) : []),
    span(` ${String(Math.round(share * 100)).padStart(3)} %`),
    span(limits && limit === undefined ? " limits" : "", "now"),
  ]);
  const limitLine: Line[] = limit ? [[span(limit, "now")]] : [];
  const counts = countLines(model, columns);
  const all = [...lines, ...limitLine];
  return all.length + counts.length <= rows
    ? [...all, ...Array(rows - all.length - counts.length).fill([]), ...counts]
    : all;
}

/** Keys of a page besides those of all pages. */
const PAGE_KEYS: { readonly [page in Model["page"]]: readonly (readonly [string, string])[] } = {
  main: [],
  help: [["Esc", "back"]],
  runs: [["Esc", "back"], ["arrows", "scroll"]],
  errors: [["Esc", "back"], ["arrows", "scroll"]],
  map: [["Esc", "back"], ["m", "nearer"], ["M", "farther"], ["arrows", "move"]],
};

/** Returns the keys, as many as fit, or the open question. */
export function footerLine(model: Model, columns: number): Line {
  if (model.result) return [span("Press a key", "now"), span(" to leave; the result stays in the terminal", "dim")];
  if (model.asking) return [span("Stop the conversion? y stops it, n goes on", "now")];
  if (model.stopping) return [span("Stopping; Ctrl-C again leaves at once", "now")];
  const always = [
    ["?", "help"],
    ["p", model.paused ? "resume" : "pause"],
    ["q", "stop"],
    ["l", "runs"],
    ["e", "errors"],
    ["m", "map"],
    ["c", "letters"],
  ] as const;
  const keys = [...PAGE_KEYS[model.page], ...always];
  const items = keys.filter(([key], at) => keys.findIndex(([other]) => other === key) === at)
    .map(([key, label]) => [span(key, "key"), span(` ${label}`, "dim")]);
  return spaced(items, columns, 2)[0] ?? [];
}
