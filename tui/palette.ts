/**
 * Colours of the screen, and their SGR codes in terminals of 16, 256 and all colours. Pure.
 *
 * @module
 */
import type { CellState } from "./diskmap.ts";

/** Colours that a terminal can show; 0: none. */
export type Depth = 0 | 16 | 256 | 16777216;

/** The number of a colour among the sixteen of a terminal, and its exact value as `RRGGBB`. */
type Colour = readonly [sixteen: number, exact: string];

/** Names of colours: the states of the map, and those of texts. */
export type ColourName = CellState | "border" | "accent" | "muted" | "good" | "now" | "text" | "paper" | "white";

/** The colours of one background. */
export type Palette = { readonly [name in ColourName]: Colour };

/**
 * For a dark background. The lightness of the states differs, not only their hue: to do, zero, backing, data, compressed,
 * verified, in flight, from dark to bright.
 */
export const DARK: Palette = {
  todo: [8, "2b3142"],
  zero: [4, "56618a"],
  backing: [5, "9d7cd8"],
  data: [12, "4f9df7"],
  compressed: [6, "3fd0c0"],
  verified: [10, "8fe07a"],
  flight: [11, "ffe07a"],
  error: [1, "ef4b5f"],
  border: [8, "465067"],
  accent: [14, "7fc8ff"],
  muted: [7, "8d97ad"],
  good: [10, "8fe07a"],
  now: [11, "ffd479"],
  text: [15, "e6eaf2"],
  paper: [0, "1d2230"],
  white: [15, "ffffff"],
};

/** For a light background: the same order, from light to dark. */
export const LIGHT: Palette = {
  todo: [7, "dfe4ec"],
  zero: [8, "a9b4ca"],
  backing: [5, "a06bd0"],
  data: [4, "2f6fdb"],
  compressed: [6, "0b8f86"],
  verified: [2, "3b8a25"],
  flight: [3, "e08600"],
  error: [1, "cc2036"],
  border: [7, "b4bdcb"],
  accent: [4, "1f55b5"],
  muted: [8, "667085"],
  good: [2, "2f7a1c"],
  now: [3, "9a5a00"],
  text: [0, "1c2430"],
  paper: [15, "eef1f6"],
  white: [15, "ffffff"],
};

/**
 * Colours of Okabe and Ito, which people with any common colour blindness distinguish. The map has letters as well.
 *
 * @param base the palette whose other colours stay
 */
export function colourBlind(base: Palette): Palette {
  return {
    ...base,
    data: [12, "3b9bdc"],
    compressed: [14, "8fd0f5"],
    zero: [8, "7a7f8c"],
    backing: [13, "cc79a7"],
    flight: [11, "f0e442"],
    verified: [2, "009e73"],
    error: [9, "d55e00"],
    good: [12, "56b4e9"],
    now: [11, "e69f00"],
  };
}

function channels(exact: string): [number, number, number] {
  const value = Number.parseInt(exact, 16);
  return [value >> 16, value >> 8 & 255, value & 255];
}

/** Returns the nearest of the 256 colours: a colour of the cube of six levels, or a grey. */
function nearest256(exact: string): number {
  const [red, green, blue] = channels(exact);
  const level = (value: number) => value < 48 ? 0 : value < 115 ? 1 : Math.floor((value - 35) / 40);
  const of = (step: number) => step === 0 ? 0 : 55 + step * 40;
  const steps = [level(red), level(green), level(blue)];
  const grey = Math.max(0, Math.min(23, Math.round(((red + green + blue) / 3 - 8) / 10)));
  const distance = (r: number, g: number, b: number) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
  const asGrey = 8 + grey * 10;
  return distance(asGrey, asGrey, asGrey) < distance(of(steps[0]), of(steps[1]), of(steps[2]))
    ? 232 + grey
    : 16 + 36 * steps[0] + 6 * steps[1] + steps[2];
}

/** Returns the SGR parameters of a colour as that of the text, or of the background. */
export function colourCode([sixteen, exact]: Colour, depth: Depth, background = false): string {
  const base = background ? 10 : 0;
  if (depth === 16) return String(base + (sixteen < 8 ? 30 + sixteen : 82 + sixteen));
  if (depth === 256) return `${base + 38};5;${nearest256(exact)}`;
  return `${base + 38};2;${channels(exact).join(";")}`;
}

/** Returns a colour between two; of sixteen, the nearer one. */
export function mixed(one: Colour, other: Colour, share: number): Colour {
  const [from, to] = [channels(one[1]), channels(other[1])];
  const value = from.map((channel, at) => Math.round(channel + (to[at] - channel) * share));
  return [share < 0.5 ? one[0] : other[0], value.map((channel) => channel.toString(16).padStart(2, "0")).join("")];
}
