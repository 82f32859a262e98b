/**
 * The pages besides the main one: help, runs, errors, and the map at a larger scale. Pure.
 *
 * @module
 */
import { bytesText } from "./human.ts";
import { type Model, shownRange } from "./model.ts";
import { type Line, span, type Theme } from "./theme.ts";
import { extentLine, extentsHeading, legendLines, mapHeading, mapLines, noteLine } from "./view_parts.ts";

const HELP: readonly (readonly [string, string])[] = [
  ["?", "this help"],
  ["p", "pause; again: go on"],
  ["l", "the last runs one by one"],
  ["e", "warnings and errors"],
  ["m", "the map from nearer; M from farther"],
  ["arrows", "move the map or the list; also PgUp, PgDn, g, G"],
  ["q", "stop, after a question; no new target is left"],
  ["Ctrl-C", "stop without a question; twice: at once"],
  ["Ctrl-L", "draw the screen anew"],
  ["Esc", "back to the first page"],
];

const LEGEND: readonly string[] = [
  ". to do   > in flight   D data copied   C compressed",
  "z zero, nothing written   b left to the backing file",
  "V verified   E unreadable or wrong",
];

/** Returns the lines between the bar and the keys. */
export function pageLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  switch (model.page) {
    case "help":
      return helpLines(rows);
    case "runs":
      return extentsLines(model, columns, rows);
    case "errors":
      return errorLines(model, columns, rows, theme);
    default:
      return mapPageLines(model, columns, rows);
  }
}

function helpLines(rows: number): Line[] {
  const keys = HELP.map(([key, what]) => [span(key.padEnd(8), "key"), span(what)]);
  const legend = LEGEND.map((line) => [span(line)]);
  const room = rows - keys.length;
  return room > legend.length ? [...keys, [], ...legend] : keys;
}

/** Returns the heading and the visible part of a list; only visible lines are built. */
function listLines(model: Model, heading: Line, items: readonly (() => Line)[], rows: number): Line[] {
  const room = Math.max(1, rows - 1);
  const last = Math.max(Math.min(room, items.length), items.length - model.scroll);
  return [heading, ...items.slice(Math.max(0, last - room), last).map((line) => line())];
}

function extentsLines(model: Model, columns: number, rows: number): Line[] {
  const items = model.extents.map((extent) => () => extentLine(extent, model, columns));
  return listLines(model, extentsHeading(model), items, rows);
}

function errorLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  if (model.noteCount === 0) return [[span("No warnings, no errors", "good")]];
  const { bad } = model.progress.done;
  const unreadable = bad > 0 ? `, ${bytesText(bad)} unreadable` : "";
  const heading = [span("Warnings and errors", "key"), span(`: ${model.noteCount}${unreadable}`)];
  return listLines(model, heading, model.notes.map((note) => () => noteLine(note, columns, theme)), rows);
}

function mapPageLines(model: Model, columns: number, rows: number): Line[] {
  const { map } = model;
  if (!map) return [[span("There is no map before the plan", "dim")]];
  const legend = rows >= 4 ? legendLines(model, columns).slice(0, Math.floor(rows / 3)) : [];
  const lines = Math.max(1, rows - 1 - legend.length);
  const range = shownRange(model);
  return [mapHeading(range, map.size, columns * lines), ...mapLines(model, range, columns, lines), ...legend];
}
