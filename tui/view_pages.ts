/**
 * The pages besides the main one: help, runs, errors, the map at a larger scale, and the result. Pure.
 *
 * @module
 */
import { bytesText, visible } from "./human.ts";
import { type Line, panel, type Size, span } from "./line.ts";
import { type Model, type Result, shownRange } from "./model.ts";
import { wrapped } from "./text.ts";
import type { Theme } from "./theme.ts";
import { extentLine, extentsHeading, noteLines } from "./view_lists.ts";
import { cellsPerCharacter, legendLines, mapHeading, mapLines, stateSpan } from "./view_map.ts";
import { mapPanel } from "./view_panels.ts";

const HELP: readonly (readonly [string, string])[] = [
  ["?", "this help"],
  ["p", "pause; again: go on"],
  ["l", "the last runs one by one"],
  ["e", "warnings and errors, whole"],
  ["m", "the map from nearer, first where bytes are written; M from farther"],
  ["arrows", "move the map or the list; also PgUp, PgDn, g, G"],
  ["c", "letters in the map, and colours for colour-blind people"],
  ["q", "stop, after a question; no new target is left"],
  ["Ctrl-C", "stop without a question; twice: at once"],
  ["Ctrl-Z", "suspend; fg continues"],
  ["Ctrl-L", "draw the screen anew"],
  ["Esc", "back to the first page"],
];

const STATES = [
  ["todo", "to do"],
  ["flight", "in flight"],
  ["data", "data copied"],
  ["compressed", "compressed"],
  ["zero", "zero, nothing written"],
  ["backing", "left to the backing file"],
  ["verified", "verified"],
  ["error", "unreadable or wrong"],
] as const;

/** Returns the lines between the bar and the keys. `framed`: the terminal has room for frames. */
export function pageLines(model: Model, { columns, rows }: Size, theme: Theme, framed: boolean): Line[] {
  const inner = framed ? { columns: columns - 4, rows: rows - 2 } : { columns, rows };
  const inFrame = (title: string, lines: readonly Line[]) =>
    framed ? panel({ title }, lines, columns, rows, theme) : [...lines];
  if (model.result) {
    return inFrame(model.result.ok ? "Done" : "Failed", resultLines(model.result, inner.columns, framed));
  }
  switch (model.page) {
    case "help":
      return inFrame("Help", helpLines(inner.rows, theme));
    case "runs":
      return inFrame("Runs", extentsLines(model, inner, theme));
    case "errors":
      return inFrame("Warnings and errors", errorLines(model, inner));
    default:
      return framed && model.map
        ? mapPanel(model, columns, rows, theme)
        : mapPageLines(model, { columns, rows }, theme);
  }
}

function helpLines(rows: number, theme: Theme): Line[] {
  const keys = HELP.map(([key, what]): Line => [span(key.padEnd(8), "key"), span(what)]);
  const legend = STATES.map(([state, name]): Line => [stateSpan(state, theme), span(`  ${name}`)]);
  return rows - keys.length > legend.length ? [...keys, [], ...legend] : keys;
}

function extentsLines(model: Model, { columns, rows }: Size, theme: Theme): Line[] {
  const room = Math.max(1, rows - 1);
  const last = Math.max(Math.min(room, model.extents.length), model.extents.length - model.scroll);
  const shown = model.extents.slice(Math.max(0, last - room), last);
  return [extentsHeading(model), ...shown.map((extent) => extentLine(extent, model, columns, theme))];
}

function errorLines(model: Model, { columns, rows }: Size): Line[] {
  if (model.noteCount === 0) return [[span("No warnings, no errors", "good")]];
  const { bad } = model.progress.done;
  const unreadable = bad > 0 ? `, ${bytesText(bad)} unreadable` : "";
  const heading = [span("Warnings and errors", "key"), span(`: ${model.noteCount}${unreadable}`)];
  const room = Math.max(1, rows - 1);
  // From the last note that is shown upwards, until the lines are full.
  const lines: Line[] = [];
  const last = Math.max(1, model.notes.length - model.scroll);
  for (let at = last - 1; at >= 0 && lines.length < room; at--) lines.unshift(...noteLines(model.notes[at], columns));
  return [heading, ...lines.slice(-room)];
}

function mapPageLines(model: Model, { columns, rows }: Size, theme: Theme): Line[] {
  const { map } = model;
  if (!map) return [[span("There is no map before the plan", "dim")]];
  const legend = rows >= 4 ? legendLines(model, columns, theme).slice(0, Math.floor(rows / 3)) : [];
  const lines = Math.max(1, rows - 1 - legend.length);
  const range = shownRange(model);
  const heading = mapHeading(range, map.size, columns * lines * cellsPerCharacter(theme), theme);
  return [heading, ...mapLines(model, range, columns, lines, theme), ...legend];
}

function resultLines({ ok, text, rows, command }: Result, columns: number, framed: boolean): Line[] {
  const label = Math.max(...rows.map(([name]) => name.length), 0) + 2;
  const body = rows.flatMap(([name, value]) =>
    wrapped(visible(value), columns - label, columns - label).map((line, at): Line => [
      span((at === 0 ? name : "").padEnd(label), "dim"),
      span(line),
    ])
  );
  const next = command === undefined
    ? []
    : wrapped(visible(command), columns - 2, columns - 2).map((line): Line => [span(`  ${line}`, "key")]);
  const space: Line[] = framed ? [[]] : [];
  return [
    ...space,
    ...wrapped(visible(text), columns, columns).map((line): Line => [span(line, ok ? "good" : "bad")]),
    ...space,
    ...body,
    ...(next.length > 0 ? [...space, [span("Next", "dim")], ...next] : []),
  ];
}
