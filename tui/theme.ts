/**
 * Glyphs and colours. The screen is complete without colours, and with ASCII alone.
 *
 * @module
 */
import { type CellState, LETTERS } from "./diskmap.ts";
import { colourBlind, colourCode, type ColourName, DARK, type Depth, LIGHT, mixed, type Palette } from "./palette.ts";

/**
 * The meaning of a text, from which its colour follows. `map:A/B`: a cell of the map with state A in its upper half and B
 * in its lower half, `bar:A`: a bar in the colour of A, `fade:N`: row of a chart, N from 0 (low) to 1.
 */
export type Style =
  | "title"
  | "border"
  | "heading"
  | "dim"
  | "good"
  | "now"
  | "bad"
  | "key"
  | "chip"
  | `text:${CellState}`
  | `letter:${CellState}`
  | `map:${CellState}/${CellState}`
  | `bar:${CellState}`
  | `fade:${number}`;

/** The characters of bars, marks, frames and charts. */
export interface Glyphs {
  readonly arrow: string;
  readonly done: string;
  readonly now: string;
  readonly next: string;
  readonly full: string;
  readonly empty: string;
  readonly cut: string;
  readonly dash: string;
  /** From an eighth to seven eighths of a cell, from the left; empty: bars have whole cells. */
  readonly eighths: readonly string[];
  /** From the lowest value to the highest. */
  readonly sparks: readonly string[];
  /** Corners of a frame, clockwise from the upper left one; horizontal and vertical line. */
  readonly frame: readonly [string, string, string, string, string, string];
  /** A cell of the map, both halves in one state. */
  readonly cells: { readonly [state in CellState]: string };
  /** A cell whose halves differ; empty: the map has one state a cell. */
  readonly half: string;
}

/** Glyphs, and the way to use colour. */
export interface Theme {
  readonly glyphs: Glyphs;
  readonly depth: Depth;
  /** Whether the map has letters; else shaded blocks, which need colours. */
  readonly letters: boolean;
  /** Returns the SGR parameters of a style. */
  readonly sgr: (style: Style) => string;
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
  eighths: ["▏", "▎", "▍", "▌", "▋", "▊", "▉"],
  sparks: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
  frame: ["╭", "╮", "╯", "╰", "─", "│"],
  cells: {
    todo: " ",
    data: "█",
    compressed: "▓",
    zero: "░",
    backing: "▒",
    flight: "▶",
    verified: "▞",
    error: LETTERS.error,
  },
  half: "▀",
};

const ASCII: Glyphs = {
  arrow: "->",
  done: "ok",
  now: ">",
  next: ".",
  full: "#",
  empty: "-",
  cut: "~",
  dash: "-",
  eighths: [],
  sparks: ["_", ".", ":", "-", "=", "+", "*", "#"],
  frame: ["+", "+", "+", "+", "-", "|"],
  cells: LETTERS,
  half: "",
};

/** The look of the screen. */
export interface Look {
  /** Whether to use ASCII alone. */
  readonly ascii: boolean;
  readonly depth: Depth;
  /** Whether the background is light. */
  readonly light?: boolean;
  /** Whether to use colours for colour-blind people, and letters in the map. */
  readonly colourBlind?: boolean;
}

/** Returns the theme of a look. */
export function themeOf({ ascii, depth, light = false, colourBlind: forAll = false }: Look): Theme {
  const base = light ? LIGHT : DARK;
  const palette = forAll ? colourBlind(base) : base;
  const known = new Map<Style, string>();
  return {
    glyphs: ascii ? ASCII : UNICODE,
    depth,
    letters: ascii || depth === 0 || forAll,
    sgr(style) {
      let code = known.get(style);
      if (code === undefined) known.set(style, code = codeOf(style, palette, depth));
      return code;
    },
  };
}

function codeOf(style: Style, palette: Palette, depth: Depth): string {
  const ink = (name: ColourName) => colourCode(palette[name], depth);
  const paper = (name: ColourName) => colourCode(palette[name], depth, true);
  switch (style) {
    case "title":
      return `1;${ink("text")}`;
    case "border":
      return ink("border");
    case "heading":
      return `1;${ink("accent")}`;
    case "dim":
      return ink("muted");
    case "good":
      return ink("good");
    case "now":
      return `1;${ink("now")}`;
    case "bad":
      return `1;${ink("white")};${paper("error")}`;
    case "key":
      return `1;${ink("text")}`;
    case "chip":
      return `1;${ink("text")};${paper(depth === 16 ? "border" : "todo")}`;
  }
  const [kind, value] = style.split(":") as [string, string];
  switch (kind) {
    case "text":
      return ink(value === "zero" || value === "todo" ? "muted" : value as CellState);
    case "letter":
      return letterCode(value as CellState, palette, depth);
    case "bar":
      return `${ink(value as CellState)};${paper("todo")}`;
    case "fade":
      return colourCode(mixed(palette.data, palette.compressed, Number(value)), depth);
  }
  const [upper, lower] = value.split("/") as [CellState, CellState];
  if (upper === "error") return `1;${ink("white")};${paper("error")}`;
  // A uniform cell has a texture over the colour of the bytes to do; else its lower half is the background.
  return `${ink(upper)};${paper(upper === lower ? "todo" : lower)}`;
}

/** Returns the code of a letter of the map: on the colour of its state; for bytes to do, muted. */
function letterCode(state: CellState, palette: Palette, depth: Depth): string {
  if (state === "todo" || state === "zero") return colourCode(palette.muted, depth);
  const ink = state === "error" ? palette.white : palette.paper;
  const isLight = palette.paper[0] === LIGHT.paper[0];
  const text = isLight && state !== "flight" ? palette.white : ink;
  return `1;${colourCode(text, depth)};${colourCode(palette[state], depth, true)}`;
}
