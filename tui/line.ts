/**
 * Lines of spans: joining, cutting, frames, charts. Pure.
 *
 * @module
 */
import type { CellState } from "./diskmap.ts";
import { columnsOf, cut, flowed } from "./text.ts";
import type { Style, Theme } from "./theme.ts";

/** A part of a line in one style. */
export interface Span {
  readonly text: string;
  readonly style?: Style;
  /** Columns of the text, where already computed. */
  readonly columns?: number;
}

/** Size of a terminal, or of a part of it, in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A line before it is painted. */
export type Line = readonly Span[];

/** Returns a span. */
export function span(text: string, style?: Style): Span {
  return style === undefined ? { text } : { text, style };
}

/** Returns the columns of a line. */
export function lineColumns(line: Line): number {
  return line.reduce((sum, one) => sum + (one.columns ?? columnsOf(one.text)), 0);
}

/** Joins two parts at both ends of a line; without enough room, returns the left one alone. */
export function spread(left: Line, right: Line, columns: number): Line {
  const space = columns - lineColumns(left) - lineColumns(right);
  return space >= 1 ? [...left, span(" ".repeat(space)), ...right] : left;
}

/** Cuts or pads a line to exactly `columns`. */
export function fitted(line: Line, columns: number, { glyphs }: Theme): Line {
  const spans: Span[] = [];
  let left = columns;
  for (const one of line) {
    if (left <= 0) break;
    const width = one.columns ?? columnsOf(one.text);
    if (width <= left) spans.push(one);
    else {
      const text = cut(one.text, left, glyphs.cut);
      spans.push({ ...one, text, columns: columnsOf(text) });
    }
    left -= spans.at(-1)!.columns ?? width;
  }
  return left > 0 ? [...spans, span(" ".repeat(left))] : spans;
}

/** Returns the text of a line with its colours, cut to `columns`. */
export function painted(line: Line, columns: number, theme: Theme): string {
  let text = "";
  let left = columns;
  for (const { text: whole, style, columns: known } of line) {
    const width = known ?? columnsOf(whole);
    const part = width <= left ? whole : cut(whole, left, theme.glyphs.cut);
    text += theme.depth > 0 && style !== undefined && part !== "" ? `\x1b[${theme.sgr(style)}m${part}\x1b[0m` : part;
    left -= width;
    if (left <= 0) break;
  }
  return text;
}

/** Joins items with gaps to lines of at most `columns`. */
export function spaced(items: readonly Line[], columns: number, gap: number): Line[] {
  return flowed(items, columns, gap, lineColumns).map((line) =>
    line.flatMap((item, at) => at === 0 ? item : [span(" ".repeat(gap)), ...item])
  );
}

/** A frame with titles. */
export interface PanelTitles {
  readonly title: string;
  /** Text after the title, and at the right end; each is left out without room. */
  readonly detail?: string;
  readonly right?: string;
}

/** Returns a frame of `rows` lines with a title in its upper edge, around the first lines of `body`. */
export function panel(titles: PanelTitles, body: readonly Line[], columns: number, rows: number, theme: Theme): Line[] {
  const [upperLeft, upperRight, lowerRight, lowerLeft, across, down] = theme.glyphs.frame;
  const inner = columns - 2;
  const edge = (count: number) => span(across.repeat(Math.max(0, count)), "border");
  const side = span(down, "border");
  const lines = Array.from(
    { length: Math.max(0, rows - 2) },
    (_, at): Line => [side, span(" "), ...fitted(body[at] ?? [], inner - 2, theme), span(" "), side],
  );
  const label = cut(` ${titles.title} `, inner - 1, theme.glyphs.cut);
  let left = inner - 1 - columnsOf(label);
  const part = (text: string | undefined): string => {
    const shown = text === undefined || text === "" || columnsOf(text) + 3 > left ? "" : ` ${text} `;
    left -= columnsOf(shown);
    return shown;
  };
  const detail = part(titles.detail).slice(1);
  if (detail !== "") left++;
  const right = part(titles.right);
  const top: Line = [
    span(upperLeft, "border"),
    edge(1),
    span(label, "heading"),
    span(detail, "dim"),
    edge(left - (right === "" ? 0 : 1)),
    span(right, "dim"),
    edge(right === "" ? 0 : 1),
    span(upperRight, "border"),
  ];
  return [top, ...lines, [span(lowerLeft, "border"), edge(inner), span(lowerRight, "border")]];
}

/** Joins blocks of equally many lines side by side. */
export function beside(...blocks: readonly (readonly Line[])[]): Line[] {
  return (blocks[0] ?? []).map((_, row) => blocks.flatMap((block) => block[row] ?? []));
}

/** Returns a bar of `columns`, of which `share`, from 0 to 1, is filled: to an eighth of a column where it has colour. */
export function barSpans(share: number, columns: number, state: CellState, { glyphs, depth }: Theme): Line {
  const eighths = Math.floor(Math.max(0, Math.min(1, share)) * columns * 8);
  const full = Math.floor(eighths / 8);
  const fine = depth > 0 && glyphs.eighths.length > 0;
  const part = fine && eighths % 8 > 0 ? glyphs.eighths[eighths % 8 - 1] : "";
  const rest = columns - full - (part === "" ? 0 : 1);
  const text = glyphs.full.repeat(full) + part + (fine ? " " : glyphs.empty).repeat(Math.max(0, rest));
  return [{ text, style: fine ? `bar:${state}` : `text:${state}`, columns }];
}

/** Draws values as columns of eighths in `rows` lines, scaled to the largest; the newest value is the last. */
export function chartLines(values: readonly number[], columns: number, rows: number, { glyphs }: Theme): Line[] {
  const means = meansOf(values, columns);
  const most = Math.max(...means, 0);
  const steps = glyphs.sparks.length;
  const heights = means.map((one) => most > 0 ? Math.max(1, Math.round(one / most * rows * steps)) : 0);
  return Array.from({ length: rows }, (_, at): Line => {
    const base = (rows - 1 - at) * steps;
    const text = heights.map((height) => {
      const part = Math.min(steps, height - base);
      return part <= 0 ? " " : glyphs.sparks[part - 1];
    }).join("");
    const fade = rows === 1 ? 0.5 : (rows - 1 - at) / (rows - 1);
    return [{ text, style: `fade:${Math.round(fade * 8) / 8}`, columns: means.length }];
  });
}

/** Returns at most `count` values: the means of equal parts. */
function meansOf(values: readonly number[], count: number): number[] {
  const parts = Math.min(values.length, Math.max(0, count));
  return Array.from({ length: parts }, (_, at) => {
    const part = values.slice(Math.floor(at * values.length / parts), Math.floor((at + 1) * values.length / parts));
    return part.reduce((sum, one) => sum + one, 0) / part.length;
  });
}
