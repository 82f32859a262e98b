/**
 * The screen as lines: a pure function of the state and the size of the terminal.
 *
 * @module
 */
import { type Line, painted, type Size, span, spread } from "./line.ts";
import type { Model } from "./model.ts";
import type { Theme } from "./theme.ts";
import { extentLine, extentsHeading, noteLine } from "./view_lists.ts";
import { cellsPerCharacter, legendLines, mapHeading, mapLines } from "./view_map.ts";
import { pageLines } from "./view_pages.ts";
import { hasPanels, panelLines } from "./view_panels.ts";
import { barLine, countLines, footerLine, leftText, rateLine, stageLines, titleLine } from "./view_parts.ts";
import { phasesLine } from "./view_phases.ts";

/** A smaller terminal has room for a bar only. */
export const LEAST: Size = { columns: 40, rows: 8 };

/** Wider lines are hard to read, and too many bytes for a slow terminal. */
const MOST_COLUMNS = 300;

/** Whether a terminal has room for the screen. */
export function fits({ columns, rows }: Size): boolean {
  return columns >= LEAST.columns && rows >= LEAST.rows;
}

/**
 * Returns the lines of the screen: at most `size.rows`, none wider than `size.columns`.
 *
 * @example
 * ```ts
 * import { view } from "./view.ts";
 * import { PHASES, startModel } from "./model.ts";
 * import { themeOf } from "./theme.ts";
 * import assert from "node:assert/strict";
 *
 * const job = { sources: ["a.raw"], target: "b.qcow2", format: "qcow2", compress: false, keepsBacking: false, workers: 2, phases: PHASES };
 * const lines = view(startModel(job, 0), { columns: 60, rows: 12 }, themeOf({ ascii: true, depth: 0 }));
 * assert.equal(lines[0], "a.raw -> b.qcow2 (qcow2)                                0:00");
 * ```
 */
export function view(model: Model, size: Size, theme: Theme): string[] {
  const columns = Math.min(size.columns, MOST_COLUMNS);
  return linesOf(model, columns, size.rows, theme).slice(0, size.rows).map((line) => painted(line, columns, theme));
}

function linesOf(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  if (!fits({ columns, rows })) return smallLines(model, columns, rows, theme);
  const left = hasPanels(columns, rows) ? leftText(model, theme) : "";
  const top = [
    titleLine(model, columns, theme),
    left === "" ? phasesLine(model, columns, theme) : spread(phasesLine(model, columns, theme), [span(left)], columns),
    barLine(model, columns, theme),
  ];
  const footer = footerLine(model, columns);
  const room = rows - top.length - 1;
  const body = bodyLines(model, columns, room, theme).slice(0, room);
  const space = Array.from({ length: room - body.length }, (): Line => []);
  return [...top, ...body, ...space, footer];
}

function bodyLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const panels = hasPanels(columns, rows + 4);
  if (model.result || model.page !== "main") return pageLines(model, { columns, rows }, theme, panels);
  return panels ? panelLines(model, columns, rows, theme) : mainLines(model, columns, rows, theme);
}

/** Returns the bar alone, for a terminal that has become too small. */
function smallLines(model: Model, columns: number, rows: number, theme: Theme): Line[] {
  const bar = barLine(model, columns, theme);
  if (model.asking || model.stopping) {
    return rows >= 2 ? [bar, footerLine(model, columns)] : [footerLine(model, columns)];
  }
  return rows >= 2 ? [bar, [span(`The screen needs ${LEAST.columns}x${LEAST.rows}`, "dim")]] : [bar];
}

/** A section of the main page. */
interface Section {
  /** Fewest lines. */
  readonly least: number;
  /** Most lines. */
  readonly most: number;
  /** Builds `rows` lines. */
  readonly lines: (rows: number) => Line[];
}

/** A section with its rank: where the room is short, a smaller number goes first. */
type Ranked = Section & { readonly rank: number };

/** Returns the sections from top to bottom. */
function sectionsOf(model: Model, columns: number, theme: Theme): Ranked[] {
  const { map, notes, extents } = model;
  const legend = legendLines(model, columns, theme);
  const counts = countLines(model, columns);
  const stages = stageLines(model, columns, theme);
  const whole = { start: 0, end: map?.size ?? 0 };
  const blank: Section = { least: 1, most: 1, lines: () => [[]] };
  const noted = Math.min(notes.length, 5);
  const fixed = (lines: readonly Line[]): Section => ({
    least: lines.length,
    most: lines.length,
    lines: () => [...lines],
  });
  const mapped = (rows: number) => [
    ...(rows > 1 ? [mapHeading(whole, map!.size, columns * (rows - 1) * cellsPerCharacter(theme), theme)] : []),
    ...mapLines(model, whole, columns, Math.max(1, rows - 1), theme),
  ];
  return [
    { rank: 7, ...blank },
    ...(map ? [{ rank: 1, least: 1, most: 9, lines: mapped }, { rank: 3, ...fixed(legend) }] : []),
    { rank: 9, ...blank },
    { rank: 2, ...fixed(counts) },
    { rank: 0, ...fixed([rateLine(model, columns, theme)]) },
    { rank: 5, ...fixed(stages) },
    ...(extents.length > 0
      ? [{ rank: 10, ...blank }, {
        rank: 6,
        least: 2,
        most: 21,
        lines: (rows: number) => [
          extentsHeading(model),
          ...extents.slice(-Math.max(1, rows - 1)).map((extent) => extentLine(extent, model, columns, theme)),
        ],
      }]
      : []),
    ...(noted > 0
      ? [{ rank: 8, ...blank }, {
        rank: 4,
        least: 1,
        most: noted,
        lines: (rows: number) => notes.slice(-rows).map((note) => noteLine(note, columns, theme)),
      }]
      : []),
  ];
}

function mainLines(model: Model, columns: number, room: number, theme: Theme): Line[] {
  const sections = sectionsOf(model, columns, theme);
  const rows = rowsOf(sections, room);
  return sections.flatMap((section, at) => rows[at] > 0 ? section.lines(rows[at]) : []);
}

/** Distributes `room` lines: first the fewest of each section by rank, then the rest one by one, up to the most. */
function rowsOf(sections: readonly Ranked[], room: number): number[] {
  const rows = sections.map(() => 0);
  let left = room;
  const ranked = sections.map((_, at) => at).sort((one, other) => sections[one].rank - sections[other].rank);
  for (const at of ranked) {
    if (sections[at].least > left) continue;
    rows[at] = sections[at].least;
    left -= rows[at];
  }
  for (let given = true; given && left > 0;) {
    given = false;
    for (const at of ranked) {
      if (left === 0 || rows[at] === 0 || rows[at] >= sections[at].most) continue;
      rows[at]++;
      left--;
      given = true;
    }
  }
  return rows;
}
