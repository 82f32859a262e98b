/**
 * The lists of finished extents and of warnings and errors. Pure.
 *
 * @module
 */
import { type CellState, LETTERS } from "./diskmap.ts";
import { bytesText, shortTimeText, visible } from "./human.ts";
import { fitted, type Line, span, spread } from "./line.ts";
import { isLeftToBacking, type Model, type Note } from "./model.ts";
import type { FinishedExtent } from "./progress.ts";
import { cut, wrapped } from "./text.ts";
import type { Theme } from "./theme.ts";

const ACTIONS: { readonly [action in FinishedExtent["action"]]: string } = {
  copy: "copied",
  zero: "zeroes written",
  skip: "skipped",
};

/** Returns the action on an extent in words, and the state that it has given to the bytes. */
function actionOf(extent: FinishedExtent, model: Model): readonly [text: string, state: CellState] {
  if (model.progress.phase === "verify") return ["verified", "verified"];
  if (isLeftToBacking(model, extent)) return ["left to backing", "backing"];
  if (extent.action !== "copy") return [ACTIONS[extent.action], "zero"];
  if (extent.zeroes === extent.end - extent.start) return ["found zero", "zero"];
  const done = model.job.compress ? "compressed" : ACTIONS.copy;
  const text = extent.zeroes > 0 ? `${done}, ${bytesText(extent.zeroes)} zero` : done;
  return [text, model.job.compress ? "compressed" : "data"];
}

/** Returns the heading of the list of extents, where it has no frame. */
export function extentsHeading(model: Model): Line {
  return [span("Last runs", "key"), span(` of ${model.extentCount}: offset, length, status, what was done, time`)];
}

/** Returns an extent as one line, in the colour of what was done. */
export function extentLine(extent: FinishedExtent, model: Model, columns: number, theme: Theme): Line {
  const [action, state] = actionOf(extent, model);
  const offset = bytesText(extent.start).padStart(columns < 60 ? 9 : 10);
  const length = bytesText(extent.end - extent.start).padStart(columns < 60 ? 10 : 11);
  const exact = columns >= 90 ? `${String(extent.start).padStart(16)} ` : "";
  const time = columns >= 46 ? shortTimeText(extent.seconds) : "";
  const left: Line = [
    span(`${LETTERS[state]} `, `text:${state}`),
    span(`${exact}${offset}${length}  `),
    span(`${extent.kind.padEnd(5)}`, "dim"),
    span(action, `text:${state}`),
  ];
  const room = Math.min(columns, 110) - time.length;
  return spread(fitted(left, room - (time === "" ? 0 : 2), theme), [span(time, "dim")], Math.min(columns, 110));
}

/** Returns the parts of a warning or an error. */
function noteText(note: Note): readonly [label: string, style: "bad" | "now", text: string] {
  const location = note.range ? ` at ${bytesText(note.range.start)}` : "";
  const [label, style] = note.severity === "error" ? ["Error", "bad"] as const : ["Warning", "now"] as const;
  return [label, style, `${location}: ${visible(note.message)}`];
}

/** Returns a warning or an error as one line. */
export function noteLine(note: Note, columns: number, { glyphs }: Theme): Line {
  const [label, style, text] = noteText(note);
  return [span(label, style), span(cut(text, columns - label.length, glyphs.cut))];
}

/** Returns a warning or an error whole, on as many lines as it takes. */
export function noteLines(note: Note, columns: number): Line[] {
  const [label, style, text] = noteText(note);
  const [first = "", ...rest] = wrapped(text, columns - label.length, columns - 2);
  return [[span(label, style), span(first)], ...rest.map((line): Line => [span(`  ${line}`)])];
}
