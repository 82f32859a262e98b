/**
 * The picture of `map`: letters and colours for a terminal, or SVG. Pure.
 *
 * @module
 */
import type { MapEntry } from "../../mod.ts";
import { bucketCount, cellsOf, type CellState, type DiskMap, emptyMap, mark } from "../../tui/diskmap.ts";
import { type Line, painted, span } from "../../tui/line.ts";
import type { Theme } from "../../tui/theme.ts";
import { bytesText } from "../../tui/human.ts";

/** The states of a picture, in the order of its legend. */
const STATES = ["data", "compressed", "backing", "zero"] as const;
type State = typeof STATES[number];

const NAMES: { readonly [state in State]: string } = {
  data: "data",
  compressed: "compressed",
  backing: "in a backing file",
  zero: "zero or nothing",
};

/** The letter of each state: colour never stands alone. */
const LETTERS: { readonly [state in State]: string } = { data: "D", compressed: "C", backing: "b", zero: "." };

/** The picture of a disk, or of a part of it. */
export interface Picture {
  /** First guest byte. */
  readonly start: number;
  readonly map: DiskMap;
  /** Bytes by state. */
  readonly totals: { [state in State]: number };
}

/** Returns an empty picture of guest bytes `[start, end)`. */
export function emptyPicture(start: number, end: number): Picture {
  return { start, map: emptyMap(end - start), totals: { data: 0, compressed: 0, backing: 0, zero: 0 } };
}

/** Adds an entry, in place. */
export function addEntry(picture: Picture, entry: MapEntry): void {
  const state = stateOf(entry);
  const start = entry.start - picture.start;
  mark(picture.map, state, { start, end: start + entry.length });
  picture.totals[state] += entry.length;
}

function stateOf({ zero, depth, compressed }: MapEntry): State {
  if (zero) return "zero";
  if (depth > 0) return "backing";
  return compressed ? "compressed" : "data";
}

/** Most rows of a picture, in a terminal and as SVG. */
const MOST_ROWS = 16;

/** Returns the picture as lines of at most `columns`, with a legend. */
export function pictureText({ start, map, totals }: Picture, columns: number, theme: Theme): string {
  const margin = 11;
  const width = Math.max(8, Math.min(columns - margin - 1, 128));
  const buckets = Math.max(1, bucketCount(map));
  const rows = Math.max(1, Math.min(MOST_ROWS, Math.ceil(buckets / width)));
  const cells = map.size === 0 ? [] : cellsOf(map, { start: 0, end: map.size }, Math.min(rows * width, buckets), []);
  const lines: Line[] = [];
  for (let at = 0; at < cells.length; at += width) {
    const label = bytesText(start + Math.floor(map.size * at / cells.length)).padStart(margin - 1);
    lines.push([span(`${label} `, "dim"), ...spansOf(cells.slice(at, at + width))]);
  }
  lines.push([], ...STATES.filter((state) => totals[state] > 0).map((state) => legend(state, totals[state])));
  return lines.map((line) => `${painted(line, columns, theme).trimEnd()}\n`).join("");
}

function spansOf(cells: readonly CellState[]): Line {
  const spans: { state: State; text: string }[] = [];
  for (const state of cells.map(knownState)) {
    const last = spans.at(-1);
    if (last?.state === state) last.text += LETTERS[state];
    else spans.push({ state, text: LETTERS[state] });
  }
  return spans.map(({ state, text }) => span(text, `letter:${state}`));
}

/** Returns the state of a cell. The map of a picture has no states but {@linkcode STATES}. */
function knownState(cell: CellState): State {
  return STATES.find((state) => state === cell) ?? "zero";
}

function legend(state: State, bytes: number): Line {
  return [span(LETTERS[state], `letter:${state}`), span(` ${NAMES[state]}: ${bytesText(bytes)}`)];
}

/** Cells of one row of an SVG; each is one user unit wide. */
const SVG_WIDTH = 512;
const ROW_HEIGHT = 24;

const COLOURS: { readonly [state in State]: string } = {
  data: "#2b6cb0",
  compressed: "#38b2ac",
  backing: "#9f7aea",
  zero: "#e2e8f0",
};

/** Returns the picture as an SVG document; each rectangle has its guest bytes as a tooltip. */
export function pictureSvg({ start, map, totals }: Picture, title: string): string {
  const buckets = Math.max(1, bucketCount(map));
  const rows = Math.max(1, Math.min(MOST_ROWS, Math.ceil(buckets / SVG_WIDTH)));
  const cells = map.size === 0 ? [] : cellsOf(map, { start: 0, end: map.size }, rows * SVG_WIDTH, []);
  const guest = (cell: number) => start + Math.floor(map.size * cell / (rows * SVG_WIDTH));
  const parts: string[] = [];
  for (let row = 0; row < rows; row++) {
    for (let from = row * SVG_WIDTH; from < Math.min((row + 1) * SVG_WIDTH, cells.length);) {
      let to = from + 1;
      while (to < (row + 1) * SVG_WIDTH && cells[to] === cells[from]) to++;
      parts.push(rectangle(cells[from], { column: from % SVG_WIDTH, row, width: to - from }, [guest(from), guest(to)]));
      from = to;
    }
  }
  const height = rows * ROW_HEIGHT + 40;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SVG_WIDTH} ${height}" width="${2 * SVG_WIDTH}">
<title>${escaped(title)}</title>
${parts.join("\n")}
${svgLegend(totals, rows * ROW_HEIGHT + 16)}
</svg>
`;
}

/** Position and width in cells. */
interface CellRange {
  readonly column: number;
  readonly row: number;
  readonly width: number;
}

function rectangle(state: CellState, { column, row, width }: CellRange, [from, to]: readonly [number, number]): string {
  const known = knownState(state);
  const box = `x="${column}" y="${row * ROW_HEIGHT}" width="${width}" height="${ROW_HEIGHT - 2}"`;
  return `<rect ${box} fill="${COLOURS[known]}"><title>${NAMES[known]}: bytes ${from} to ${to}</title></rect>`;
}

function svgLegend(totals: Picture["totals"], y: number): string {
  return STATES.filter((state) => totals[state] > 0).map((state, index) => {
    const x = index * SVG_WIDTH / STATES.length;
    const text = escaped(`${NAMES[state]}: ${bytesText(totals[state])}`);
    return `<rect x="${x}" y="${y - 8}" width="8" height="8" fill="${COLOURS[state]}"/>` +
      `<text x="${x + 11}" y="${y}" font-family="sans-serif" font-size="8">${text}</text>`;
  }).join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    "?",
  );
}
