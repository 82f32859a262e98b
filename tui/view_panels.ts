/**
 * The main page of a terminal with room for frames: the map takes the free lines. Pure.
 *
 * @module
 */
import { beside, type Line, panel } from "./line.ts";
import { type Model, shownRange } from "./model.ts";
import type { Theme } from "./theme.ts";
import { extentLine, noteLine } from "./view_lists.ts";
import { cellsPerCharacter, legendLines, mapLines, partitionLines, rangeText, scaleText } from "./view_map.ts";
import { rateLines, workLines } from "./view_parts.ts";

/** Whether a terminal has room for frames. */
export function hasPanels(columns: number, rows: number): boolean {
  return columns >= 72 && rows >= 20;
}

/** From these columns on, the runs stand beside the map. */
const TWO_COLUMNS = 110;
/** Most columns of the runs: a longer line has nothing to show. */
const RUNS_MOST = 66;

/** Returns the lines between the bar and the keys: exactly `rows`. */
export function panelLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const notes = noteRows(model, rows);
  if (columns < TWO_COLUMNS) {
    const runs = Math.max(5, Math.floor(rows / 4));
    const gauges = rows >= 26 ? 8 : rows >= 19 ? 6 : 5;
    return [
      ...mapPanel(model, columns, rows - gauges - runs - notes, theme),
      ...gaugePanels(model, columns, gauges, theme),
      ...runsPanel(model, columns, runs, theme),
      ...notesPanel(model, columns, notes, theme),
    ];
  }
  const right = Math.min(RUNS_MOST, Math.floor(columns * 0.45));
  const left = columns - right;
  const gauges = rows >= 40 ? 12 : 9;
  return beside(
    [...mapPanel(model, left, rows - gauges, theme), ...gaugePanels(model, left, gauges, theme)],
    [...runsPanel(model, right, rows - notes, theme), ...notesPanel(model, right, notes, theme)],
  );
}

function noteRows({ notes }: Model, rows: number): number {
  return notes.length === 0 ? 0 : Math.min(notes.length, Math.max(1, Math.floor(rows / 8))) + 2;
}

/** Returns the map with its partitions and legend in a frame. */
export function mapPanel(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const { map } = model;
  const inner = columns - 4;
  if (!map) return panel({ title: "Disk" }, [], columns, rows, theme);
  const range = shownRange(model);
  const legend = legendLines(model, inner, theme).slice(0, Math.max(1, Math.floor(rows / 3)));
  const partitions = rows >= 8 ? partitionLines(model, range, inner, theme) : [];
  if (rows >= 12) legend.unshift([]);
  const lines = Math.max(1, rows - 2 - legend.length - partitions.length);
  const cells = lines * inner * cellsPerCharacter(theme);
  const titles = { title: "Disk", detail: rangeText(range, map.size), right: scaleText(range, cells, theme) };
  return panel(
    titles,
    [...partitions, ...mapLines(model, range, inner, lines, theme), ...legend],
    columns,
    rows,
    theme,
  );
}

function gaugePanels(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const left = Math.floor(columns * 0.55);
  const right = columns - left;
  return beside(
    panel({ title: "Rate" }, rateLines(model, left - 4, rows - 2, theme), left, rows, theme),
    panel({ title: "Work" }, workLines(model, right - 4, rows - 2, theme), right, rows, theme),
  );
}

function runsPanel(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const shown = model.extents.slice(-Math.max(0, rows - 2));
  const lines = shown.map((extent) => extentLine(extent, model, columns - 4, theme));
  const right = columns >= 60 ? "offset, length, status, what was done, time" : "";
  return panel({ title: "Last runs", detail: `of ${model.extentCount}`, right }, lines, columns, rows, theme);
}

function notesPanel(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  if (rows === 0) return [];
  const lines = model.notes.slice(-(rows - 2)).map((note) => noteLine(note, columns - 4, theme));
  const titles = { title: "Warnings and errors", detail: String(model.noteCount), right: "e shows them whole" };
  return panel(titles, lines, columns, rows, theme);
}
