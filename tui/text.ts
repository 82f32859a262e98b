/**
 * Text in columns: what a terminal needs, not what a string counts. Pure.
 *
 * @module
 */
/** Text that cannot steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (one) => `\\u{${one.codePointAt(0)!.toString(16)}}`);
}

/**
 * Columns that a text takes; before {@linkcode loadWidths} has ended, of some texts only that it takes no more.
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
  // The next frame will know.
  loadWidths(text);
  return WIDEST * text.length;
}

/** No character takes more columns for each of its UTF-16 units. */
const WIDEST = 2;

/**
 * ASCII, Latin, Greek and Cyrillic letters and the glyphs of the theme, of one column each. Nearly all text is that, and
 * to look is a hundred times faster than to segment.
 */
const NARROW =
  /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u0386-\u0482\u048a-\u052f\u2013\u2026\u2192\u2581-\u2591\u25b6\u2713]*$/;

let stringWidth: ((text: string) => number) | undefined;
let loading: Promise<void> | undefined;

/** Loads what measures wide text, if `text` is such: to load it costs more time than all else that a screen needs. */
export async function loadWidths(text: string): Promise<void> {
  if (NARROW.test(text)) return;
  loading ??= import("string-width").then((loaded) => void (stringWidth = loaded.default));
  // Without it text is cut earlier than it need be, and nothing else.
  await loading.catch(() => {});
}

let segmenter: Intl.Segmenter | undefined;

/** What a reader takes for single characters. */
export function characters(text: string): string[] {
  if (NARROW.test(text)) return text.split("");
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return [...segmenter.segment(text)].map((one) => one.segment);
}

/** The beginning of a text, as many whole characters as fit into `columns`. */
export function head(text: string, columns: number): string {
  return taken(characters(text), columns).join("");
}

/** The end of a text, as many whole characters as fit into `columns`. */
export function tail(text: string, columns: number): string {
  return taken(characters(text).reverse(), columns).reverse().join("");
}

function taken(all: readonly string[], columns: number): string[] {
  const kept: string[] = [];
  let left = columns;
  for (const one of all) {
    left -= columnsOf(one);
    if (left < 0) break;
    kept.push(one);
  }
  return kept;
}

/** A text in at most `columns`; `mark` stands for what is cut off at its end. */
export function cut(text: string, columns: number, mark: string): string {
  if (columnsOf(text) <= columns) return text;
  return columns <= mark.length ? head(text, columns) : head(text, columns - mark.length) + mark;
}

/** A path in at most `columns`: its end says most, so its middle goes. */
export function shortened(path: string, columns: number, mark: string): string {
  if (columnsOf(path) <= columns) return path;
  const room = columns - mark.length;
  if (room < 2) return head(path, Math.max(0, columns));
  const front = Math.floor(room / 3);
  return head(path, front) + mark + tail(path, room - front);
}

/** A text filled up with spaces to `columns`. */
export function padded(text: string, columns: number, side: "left" | "right" = "right"): string {
  const space = " ".repeat(Math.max(0, columns - columnsOf(text)));
  return side === "right" ? text + space : space + text;
}

/** Items as lines of at most `columns`, `gap` spaces between two. An item that is too long stands alone. */
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
