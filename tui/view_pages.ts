/**
 * The pages besides the main one: help, runs, errors, and the map from nearer. Pure.
 *
 * @module
 */
import { type Model, shownRange } from "./model.ts";
import { padded } from "./text.ts";
import { type Line, span, type Theme } from "./theme.ts";
import { bytesText } from "./units.ts";
import { legendLines, mapHeading, mapLines, noteLine, runLine, runsHeading } from "./view_parts.ts";

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
  ". to do   > in flight   D data copied   P compressed",
  "z zero, nothing written   b left to the backing file",
  "V verified   E unreadable or wrong",
];

/** The lines between the bar and the keys. */
export function pageLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  switch (model.page) {
    case "help":
      return helpLines(rows);
    case "runs":
      return listLines(model, runsHeading(model), model.runs.map((run) => () => runLine(run, model, columns)), rows);
    case "errors":
      return errorLines(model, columns, rows, theme);
    default:
      return nearMapLines(model, columns, rows);
  }
}

function helpLines(rows: number): Line[] {
  const keys = HELP.map(([key, what]) => [span(padded(key, 8), "key"), span(what)]);
  const legend = LEGEND.map((line) => [span(line)]);
  const room = rows - keys.length;
  return room > legend.length ? [...keys, [], ...legend] : keys;
}

/** The end of a list, scrolled back; lines are made only where they are seen. */
function listLines(model: Model, heading: Line, items: readonly (() => Line)[], rows: number): Line[] {
  const room = Math.max(1, rows - 1);
  const last = Math.max(Math.min(room, items.length), items.length - model.scroll);
  return [heading, ...items.slice(Math.max(0, last - room), last).map((line) => line())];
}

function errorLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  if (model.noteCount === 0) return [[span("No warnings, no errors", "good")]];
  const bad = model.done.bad > 0 ? `, ${bytesText(model.done.bad)} unreadable` : "";
  const heading = [span("Warnings and errors", "key"), span(`: ${model.noteCount}${bad}`)];
  return listLines(model, heading, model.notes.map((note) => () => noteLine(note, columns, theme)), rows);
}

function nearMapLines(model: Model, columns: number, rows: number): Line[] {
  const { map } = model;
  if (!map) return [[span("There is no map before the plan", "dim")]];
  const legend = rows >= 4 ? legendLines(model, columns).slice(0, Math.floor(rows / 3)) : [];
  const lines = Math.max(1, rows - 1 - legend.length);
  const range = shownRange(model);
  return [mapHeading(range, map.size, columns * lines), ...mapLines(model, range, columns, lines), ...legend];
}
