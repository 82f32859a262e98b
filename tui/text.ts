/**
 * Widths of text in terminal columns, and cutting text to them. Pure.
 *
 * @module
 */

/**
 * Returns the columns of a text; for wide text before {@linkcode loadWidths} has ended, an upper bound.
 *
 * @example
 * ```ts
 * import { columnsOf, loadWidths } from "./text.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(columnsOf("disk"), 4);
 * await loadWidths("磁盘");
 * assert.equal(columnsOf("磁盘"), 4);
 * assert.equal(columnsOf("e\u0301"), 1);
 * ```
 */
export function columnsOf(text: string): number {
  if (NARROW.test(text)) return text.length;
  if (stringWidth) return stringWidth(text);
  // From the next frame on the width is exact.
  loadWidths(text);
  return WIDEST * text.length;
}

/** No character is wider than this many columns for each of its UTF-16 code units. */
const WIDEST = 2;

/**
 * ASCII, Latin, Greek and Cyrillic letters and the glyphs of the theme: one column each. Nearly all text matches, and
 * this test is a hundred times faster than segmentation.
 */
const NARROW =
  /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u0386-\u0482\u048a-\u052f\u2013\u2026\u2192\u2580-\u2593\u2500\u2502\u256d-\u2570\u259e\u25b6\u2713]*$/;

let stringWidth: ((text: string) => number) | undefined;
let loading: Promise<void> | undefined;

/** Loads string-width if `text` needs it: that takes longer than loading all other modules of the screen. */
export async function loadWidths(text: string): Promise<void> {
  if (NARROW.test(text)) return;
  loading ??= import("string-width").then((loaded) => void (stringWidth = loaded.default));
  // Without string-width, wide text is cut earlier than necessary.
  await loading.catch(() => {});
}

let segmenter: Intl.Segmenter | undefined;

/** Splits a text into characters as a reader sees them (grapheme clusters). */
export function characters(text: string): string[] {
  if (NARROW.test(text)) return text.split("");
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return [...segmenter.segment(text)].map((one) => one.segment);
}

/** Returns the beginning of a text: as many whole characters as fit into `columns`. */
export function head(text: string, columns: number): string {
  return fitting(characters(text), columns).join("");
}

/** Returns the end of a text: as many whole characters as fit into `columns`. */
export function tail(text: string, columns: number): string {
  return fitting(characters(text).reverse(), columns).reverse().join("");
}

function fitting(all: readonly string[], columns: number): string[] {
  const kept: string[] = [];
  let left = columns;
  for (const one of all) {
    left -= columnsOf(one);
    if (left < 0) break;
    kept.push(one);
  }
  return kept;
}

/** Cuts a text to at most `columns`; `mark` replaces the removed end. */
export function cut(text: string, columns: number, mark: string): string {
  if (columnsOf(text) <= columns) return text;
  return columns <= mark.length ? head(text, columns) : head(text, columns - mark.length) + mark;
}

/** Cuts a path to at most `columns`; `mark` replaces its middle, because the end matters most. */
export function shortened(path: string, columns: number, mark: string): string {
  if (columnsOf(path) <= columns) return path;
  const room = columns - mark.length;
  if (room < 2) return head(path, Math.max(0, columns));
  const front = Math.floor(room / 3);
  return head(path, front) + mark + tail(path, room - front);
}

/** Distributes items to lines of at most `columns`, with `gap` columns between two. A longer item has its own line. */
export function flowed<Item>(
  items: readonly Item[],
  columns: number,
  gap: number,
  widthOf: (item: Item) => number,
): Item[][] {
  const lines: Item[][] = [];
  let used = Infinity;
  for (const item of items) {
    const width = widthOf(item);
    if (used + gap + width > columns) {
      lines.push([]);
      used = -gap;
    }
    lines.at(-1)!.push(item);
    used += gap + width;
  }
  return lines;
}

/**
 * Breaks a text into lines, at spaces where there are any.
 *
 * @param first columns of the first line
 * @param columns columns of the others
 */
export function wrapped(text: string, first: number, columns: number): string[] {
  const lines: string[] = [];
  for (let rest = text; rest !== "";) {
    const room = Math.max(2, lines.length === 0 ? first : columns);
    let line = head(rest, room);
    const space = line.length < rest.length && rest[line.length] !== " " ? line.lastIndexOf(" ") : -1;
    if (space > 0) line = line.slice(0, space);
    lines.push(line);
    rest = rest.slice(Math.max(1, line.length)).trimStart();
  }
  return lines;
}
