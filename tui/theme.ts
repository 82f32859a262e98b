/**
 * How things look: glyphs and colours, both of which a user can do without.
 *
 * @module
 */
import { columnsOf, cut, head } from "./text.ts";

/** What a text is, not which colour it has. */
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

/** Characters that are drawn with. */
export interface Glyphs {
  readonly arrow: string;
  readonly done: string;
  readonly now: string;
  readonly next: string;
  readonly full: string;
  readonly empty: string;
  readonly cut: string;
  readonly dash: string;
  /** From nothing to everything. */
  readonly sparks: readonly string[];
}

/** A look. */
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

/** Blue and orange hues, which most colour-blind people tell apart; a letter stands in every cell as well. */
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

/** The look that fits the terminal and the wishes of its user. */
export function themeOf(wish: { readonly ascii: boolean; readonly colour: boolean }): Theme {
  return { glyphs: wish.ascii ? ASCII : UNICODE, colour: wish.colour };
}

/** A piece of a line. */
export interface Span {
  readonly text: string;
  readonly style?: Style;
  /** Columns of the text, where whoever made it knows. */
  readonly columns?: number;
}

/** A line before it is painted. */
export type Line = readonly Span[];

/** A span. */
export function span(text: string, style?: Style): Span {
  return style === undefined ? { text } : { text, style };
}

/** Columns of a line. */
export function lineColumns(line: Line): number {
  return line.reduce((sum, one) => sum + (one.columns ?? columnsOf(one.text)), 0);
}

/** Two parts at both ends of a line; the left one gives way. */
export function spread(left: Line, right: Line, columns: number): Line {
  const space = columns - lineColumns(left) - lineColumns(right);
  return space >= 1 ? [...left, span(" ".repeat(space)), ...right] : left;
}

/** The bytes of a line, never more than `columns` wide whatever the spans hold. */
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

/** A bar of `columns`; `part` is from 0 to 1. */
export function barText(part: number, columns: number, { glyphs }: Theme): string {
  const full = Math.floor(Math.max(0, Math.min(1, part)) * columns);
  return glyphs.full.repeat(full) + glyphs.empty.repeat(columns - full);
}

/** Values as small bars, the largest as high as it goes; as many as fit, each the mean of its part. */
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
