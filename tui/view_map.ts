/**
 * The disk as a map, with its partitions and its legend. Pure.
 *
 * @module
 */
import { cellsOf, type CellState, LETTERS, type Range } from "./diskmap.ts";
import { bytesText, visible } from "./human.ts";
import { type Line, spaced, type Span, span } from "./line.ts";
import type { Model } from "./model.ts";
import { cut } from "./text.ts";
import type { Style, Theme } from "./theme.ts";

/** Returns how many cells a character of the map shows. */
export function cellsPerCharacter({ letters, glyphs }: Theme): number {
  return !letters && glyphs.half !== "" ? 2 : 1;
}

/** Returns the map as `rows` lines: letters, or blocks with two cells in a character, one above the other. */
export function mapLines(model: Model, range: Range, columns: number, rows: number, theme: Theme): Line[] {
  const { map } = model;
  if (!map || rows <= 0) return [];
  const halves = cellsPerCharacter(theme);
  const cells = cellsOf(map, range, columns * rows * halves, model.inFlight);
  const row = (at: number) => cells.slice(at * columns, (at + 1) * columns);
  return Array.from(
    { length: rows },
    (_, at) => halves === 2 ? blocks(row(2 * at), row(2 * at + 1), theme) : letters(row(at), theme),
  );
}

/** Returns one span for each sequence of equal characters. */
function joined(count: number, at: (cell: number) => readonly [text: string, style: Style]): Line {
  const spans: Span[] = [];
  for (let from = 0; from < count;) {
    const [text, style] = at(from);
    let end = from + 1;
    while (end < count && at(end)[1] === style) end++;
    spans.push({ text: text.repeat(end - from), style, columns: end - from });
    from = end;
  }
  return spans;
}

function letters(cells: readonly CellState[], { depth }: Theme): Line {
  const styles = depth === 0 ? "text" : "letter";
  return joined(cells.length, (at) => [LETTERS[cells[at]], `${styles}:${cells[at]}`]);
}

function blocks(upper: readonly CellState[], lower: readonly CellState[], { glyphs }: Theme): Line {
  return joined(upper.length, (at) => {
    const [above, below] = [upper[at], lower[at]];
    // An error fills the character, and has its letter.
    if (above === "error" || below === "error") return [glyphs.cells.error, "map:error/error"];
    return [above === below ? glyphs.cells[above] : glyphs.half, `map:${above}/${below}`];
  });
}

/** Returns the text about the shown range: `1.0 GiB`, or the part of it. */
export function rangeText(range: Range, size: number): string {
  const whole = range.start === 0 && range.end === size;
  return whole ? bytesText(size) : `${bytesText(range.start)} to ${bytesText(range.end)} of ${bytesText(size)}`;
}

/** Returns the text about the scale. */
export function scaleText(range: Range, cells: number, { letters }: Theme): string {
  return `one ${letters ? "letter" : "cell"} = ${bytesText((range.end - range.start) / cells)}`;
}

/** Returns the heading of the map, where it has no frame. */
export function mapHeading(range: Range, size: number, cells: number, theme: Theme): Line {
  return [span("Disk", "key"), span(` ${rangeText(range, size)}, ${scaleText(range, cells, theme)}`)];
}

/** Returns the line of partitions above the map; none where the disk has no table, or too many partitions. */
export function partitionLines(model: Model, range: Range, columns: number, { glyphs }: Theme): Line[] {
  const shown = (model.job.partitions ?? []).filter((one) => one.start < range.end && one.end > range.start);
  if (shown.length === 0 || shown.length > columns / 4) return [];
  const scale = columns / (range.end - range.start);
  const spans: Span[] = [];
  let at = 0;
  for (const { start, end, name } of shown) {
    const from = Math.max(at, Math.floor((Math.max(start, range.start) - range.start) * scale));
    const to = Math.min(columns, Math.max(from + 3, Math.round((Math.min(end, range.end) - range.start) * scale)));
    if (to - from < 2) break;
    const line = glyphs.frame[4];
    const label = cut(visible(name), to - from - 2, glyphs.cut);
    const room = to - from - 2 - [...label].length;
    const text = `${glyphs.frame[5]}${label}${line.repeat(Math.max(0, room))}${glyphs.frame[5]}`;
    spans.push(span(" ".repeat(from - at)), span(text, "heading"));
    at = to;
  }
  return [spans];
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

/** Returns a sample of a state as the map shows it. */
export function stateSpan(state: CellState, { letters, depth, glyphs }: Theme): Span {
  if (!letters) return span(glyphs.cells[state].repeat(2), `map:${state}/${state}`);
  return span(LETTERS[state], depth === 0 ? `text:${state}` : `letter:${state}`);
}

/** Returns the legend. */
export function legendLines(model: Model, columns: number, theme: Theme): Line[] {
  const items = legendOf(model).map(({ state, name, bytes }) => [
    stateSpan(state, theme),
    span(` ${name} ${bytesText(bytes)}`),
  ]);
  return spaced(items, columns, 3);
}
