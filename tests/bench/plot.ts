/**
 * A small writer of SVG plots: pure, from figures to text.
 *
 * @module
 */

/** One line of a plot. */
export interface Line {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** A plot of lines over a logarithmic x axis, whose marks are the x values of its points. */
export interface LinePlot {
  readonly title: string;
  readonly x: { readonly label: string; readonly text: (value: number) => string };
  readonly y: { readonly label: string; readonly text: (value: number) => string };
  readonly lines: readonly Line[];
}

/** Bars, one under the other; what is longer than `limit` is cut off and says so. */
export interface BarPlot {
  readonly title: string;
  readonly limit: number;
  readonly text: (value: number) => string;
  /** `mark`: what is to be reached, a stroke across the bar. */
  readonly bars: readonly { readonly name: string; readonly value: number; readonly mark?: number }[];
}

/** A part of a picture and its size in pixels. */
export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly body: string;
}

const WIDTH = 460;
const HEIGHT = 300;
const LEFT = 66;
const RIGHT = 14;
const TOP = 48;
const BOTTOM = 50;
const BAR = 18;
const NAMES = 270;
/** Dashes differ as well, for readers who see no colours. */
const STYLES = [["#6b6b6b", "6 4"], ["#0072b2", ""], ["#d55e00", "2 3"], ["#009e73", "10 3 2 3"]] as const;

/**
 * A picture of panels beside each other.
 *
 * @example
 * ```ts
 * import { linePlot, picture } from "./plot.ts";
 * import assert from "node:assert/strict";
 *
 * const axis = { label: "seconds < 3", text: String };
 * const svg = picture([linePlot({ title: "a", x: axis, y: axis, lines: [{ name: "b", points: [{ x: 1, y: 2 }] }] })]);
 * assert.match(svg, /^<svg xmlns.*<\/svg>\n$/s);
 * assert.match(svg, /seconds &lt; 3/);
 * ```
 */
export function picture(panels: readonly Panel[]): string {
  const width = panels.reduce((sum, panel) => sum + panel.width, 0);
  const height = Math.max(...panels.map((panel) => panel.height));
  let x = 0;
  const parts = panels.map((panel) => {
    const part = `<g transform="translate(${x} 0)">\n${panel.body}\n</g>`;
    x += panel.width;
    return part;
  });
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  // Stated, because pages are dark or light.
  const ground = `<rect width="${width}" height="${height}" fill="#fff"/>`;
  const font = 'font-family="sans-serif" font-size="11" fill="#222"';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n${ground}\n${parts.join("\n")}\n</svg>\n`;
}

/** Draws lines. The y axis begins at zero, or is logarithmic where its values differ by more than a factor of 30. */
export function linePlot({ title, x, y, lines }: LinePlot): Panel {
  const points = lines.flatMap((line) => line.points);
  const xs = [...new Set(points.map((point) => point.x))].toSorted((a, b) => a - b);
  const across = placer(xs, true, LEFT, WIDTH - RIGHT);
  const marks = yMarks(points.map((point) => point.y));
  const up = placer(marks.values, marks.log, HEIGHT - BOTTOM, TOP);
  const parts = [label(WIDTH / 2, 16, title, 'text-anchor="middle" font-weight="bold"')];
  for (const value of marks.values) {
    parts.push(stroke(LEFT, up(value), WIDTH - RIGHT, up(value), 'stroke="#ddd"'));
    parts.push(label(LEFT - 6, up(value) + 4, y.text(value), 'text-anchor="end"'));
  }
  for (const value of xs) {
    parts.push(stroke(across(value), HEIGHT - BOTTOM, across(value), HEIGHT - BOTTOM + 4, 'stroke="#222"'));
    parts.push(label(across(value), HEIGHT - BOTTOM + 16, x.text(value), 'text-anchor="middle" font-size="9"'));
  }
  parts.push(stroke(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, 'stroke="#222"'));
  parts.push(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x.label, 'text-anchor="middle"'));
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  parts.push(label(14, middle, y.label, `text-anchor="middle" transform="rotate(-90 14 ${middle})"`));
  for (const [index, line] of lines.entries()) {
    parts.push(lineOf(line, index, across, up), legend(line.name, index, lines.length));
  }
  return { width: WIDTH, height: HEIGHT, body: parts.join("\n") };
}

/** Draws bars. */
export function barPlot({ title, limit, text, bars }: BarPlot): Panel {
  const width = 2 * WIDTH;
  const across = placer([0, limit], false, NAMES, width - 60);
  const parts = [label(width / 2, 16, title, 'text-anchor="middle" font-weight="bold"')];
  for (const [index, { name, value, mark }] of bars.entries()) {
    const y = 30 + index * BAR;
    const end = across(Math.min(value, limit));
    const good = mark === undefined || value <= mark;
    parts.push(label(NAMES - 8, y + 12, name, 'text-anchor="end"'));
    const fill = good ? STYLES[1][0] : STYLES[2][0];
    parts.push(`<rect x="${NAMES}" y="${y + 3}" width="${pixel(end - NAMES)}" height="${BAR - 6}" fill="${fill}"/>`);
    parts.push(label(end + 5, y + 12, `${value > limit ? "→ " : ""}${text(value)}`, ""));
    if (mark !== undefined) {
      parts.push(stroke(across(mark), y, across(mark), y + BAR, 'stroke="#222" stroke-width="2"'));
    }
  }
  const bottom = 30 + bars.length * BAR;
  parts.push(stroke(NAMES, 26, NAMES, bottom, 'stroke="#222"'));
  if (limit > 1) parts.push(stroke(across(1), 26, across(1), bottom, 'stroke="#999" stroke-dasharray="3 3"'));
  return { width, height: bottom + 12, body: parts.join("\n") };
}

function lineOf({ points }: Line, index: number, across: Placer, up: Placer): string {
  const [color, dash] = styleOf(index);
  const positions = points.map(({ x, y }) => `${pixel(across(x))},${pixel(up(y))}`);
  const dots = positions.map((position) => {
    const [cx, cy] = position.split(",");
    return `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`;
  });
  const path = `<polyline points="${positions.join(" ")}" fill="none" stroke="${color}" stroke-width="2"`;
  return `${path} stroke-dasharray="${dash}"/>\n${dots.join("")}`;
}

function legend(name: string, index: number, count: number): string {
  const [color, dash] = styleOf(index);
  const x = LEFT + index * (WIDTH - LEFT - RIGHT) / count;
  const sample = `stroke="${color}" stroke-width="2" stroke-dasharray="${dash}"`;
  return `${stroke(x, 32, x + 26, 32, sample)}\n${label(x + 31, 36, name, "")}`;
}

const styleOf = (index: number) => STYLES[index % STYLES.length];

type Placer = (value: number) => number;

/** Values to pixels: the least of `values` to `from`, the greatest to `to`. */
function placer(values: readonly number[], log: boolean, from: number, to: number): Placer {
  const scale = log ? Math.log : (value: number) => value;
  const low = scale(Math.min(...values));
  const high = scale(Math.max(...values));
  return (value) => high === low ? (from + to) / 2 : from + (scale(value) - low) / (high - low) * (to - from);
}

/** Where the y axis has its marks: round numbers around all values. */
function yMarks(values: readonly number[]): { readonly values: number[]; readonly log: boolean } {
  const high = Math.max(...values, 1e-9);
  const low = Math.min(...values);
  if (low > 0 && high / low > 30) {
    const from = Math.floor(Math.log10(low));
    const to = Math.ceil(Math.log10(high));
    return { values: Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index)), log: true };
  }
  const rough = high / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough)!;
  return { values: Array.from({ length: Math.ceil(high / step) + 1 }, (_, index) => index * step), log: false };
}

function stroke(x1: number, y1: number, x2: number, y2: number, more: string): string {
  return `<line x1="${pixel(x1)}" y1="${pixel(y1)}" x2="${pixel(x2)}" y2="${pixel(y2)}" ${more}/>`;
}

function label(x: number, y: number, text: string, more: string): string {
  const safe = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `<text x="${pixel(x)}" y="${pixel(y)}" ${more}>${safe}</text>`;
}

const pixel = (value: number) => `${Number(value.toFixed(1))}`;
