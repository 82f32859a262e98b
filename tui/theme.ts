/**
 * Glyphs and colours. The screen is complete without colours, and with ASCII alone.
 *
 * @module
 */
import { columnsOf, cut, head } from "./text.ts";

/** The meaning of a text, from which its colour follows. */
export type Style =
  | "title"
  | "dim"
  | "good"
  | "now"
  | "bad"
  | "key"
  | "data"
  | "compressed"
  | "zero"
  | "backing"
  | "flight"
  | "verified";

/** The characters of bars, marks and charts. */
export interface Glyphs {
  readonly arrow: string;
  readonly done: string;
  readonly now: string;
  readonly next: string;
  readonly full: string;
  readonly empty: string;
  readonly cut: string;
  readonly dash: string;
  /** From the lowest value to the highest. */
  readonly sparks: readonly string[];
}

/** Glyphs, and whether to use colour. */
export interface Theme {
  readonly glyphs: Glyphs;
  readonly colour: boolean;
}

const UNICODE: Glyphs = {
  arrow: "→",
  done: "✓",
  now: "▶",
  next: "·",
  full: "█",
  empty: "░",
  cut: "…",
  dash: "–",
  sparks: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

const ASCII: Glyphs = {
  arrow: "->",
  done: "x",
  now: ">",
  next: ".",
  full: "#",
  empty: "-",
  cut: "~",
  dash: "-",
  sparks: ["_", ".", ":", "-", "=", "+", "*", "#"],
};

/** SGR codes. Most colour-blind people can distinguish blue and orange hues; every cell has a letter as well. */
const SGR: { readonly [style in Style]: string } = {
  title: "1",
  dim: "2",
  good: "32",
  now: "1;36",
  bad: "1;37;41",
  key: "1",
  data: "97;44",
  compressed: "30;46",
  zero: "2",
  backing: "35",
  flight: "1;30;43",
  verified: "30;42",
};

/** Returns the theme for the options of the user. */
export function themeOf(options: { readonly ascii: boolean; readonly colour: boolean }): Theme {
  return { glyphs: options.ascii ? ASCII : UNICODE, colour: options.colour };
}

/** A part of a line in one style. */
export interface Span {
  readonly text: string;
  readonly style?: Style;
  /** Columns of the text, where already computed. */
  readonly columns?: number;
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

/** Returns the text of a line with its colours, cut to `columns`. */
export function painted(line: Line, columns: number, theme: Theme): string {
  let text = "";
  let left = columns;
  for (const { text: whole, style, columns: known } of line) {
    const width = known ?? columnsOf(whole);
    const part = width <= left ? whole : cut(whole, left, theme.glyphs.cut);
    text += theme.colour && style !== undefined && part !== "" ? `\x1b[${SGR[style]}m${part}\x1b[0m` : part;
    left -= width;
    if (left <= 0) break;
  }
  return text;
}

/** Draws values as a chart of at most `columns` characters, each the mean of its part, scaled to the largest. */
export function sparkText(values: readonly number[], columns: number, { glyphs }: Theme): string {
  const count = Math.min(values.length, columns);
  if (count <= 0) return "";
  const means = Array.from({ length: count }, (_, at) => {
    const part = values.slice(Math.floor(at * values.length / count), Math.floor((at + 1) * values.length / count));
    return part.reduce((sum, one) => sum + one, 0) / part.length;
  });
  const most = Math.max(...means);
  const top = glyphs.sparks.length - 1;
  return head(means.map((one) => glyphs.sparks[most > 0 ? Math.round(one / most * top) : 0]).join(""), columns);
}
