/**
 * The line of the phases. Pure.
 *
 * @module
 */
import type { Model, PhaseState } from "./model.ts";
import { timeText, visible } from "./human.ts";
import { type Line, lineColumns, type Span, span } from "./line.ts";
import type { Style, Theme } from "./theme.ts";

const LABELS: { readonly [phase: string]: string } = {
  inspect: "Inspect",
  plan: "Plan",
  copy: "Copy",
  verify: "Verify",
  finish: "Finish",
};

/** Returns the label of a phase; a phase that is not in the table has its own name. */
export function phaseLabel(labels: { readonly [name: string]: string }, name: string): string {
  return labels[name] ?? visible(name.charAt(0).toUpperCase() + name.slice(1));
}

/** Returns the phases, with their times where there is room. */
export function phasesLine(model: Model, columns: number, theme: Theme): Line {
  const forms = [
    ...[true, false].flatMap((times) => [2, 1].map((gap) => phasesForm(model, theme, { times, gap, space: " " }))),
    phasesForm(model, theme, { times: false, gap: 1, space: "" }),
  ];
  return forms.find((line) => lineColumns(line) <= columns) ?? forms.at(-1)!;
}

/** The layout of the line. */
interface PhasesForm {
  /** Whether it has times. */
  readonly times: boolean;
  /** Columns between two phases. */
  readonly gap: number;
  /** Text between a mark and its label. */
  readonly space: string;
}

function phasesForm(model: Model, { glyphs }: Theme, { times, gap, space }: PhasesForm): Span[] {
  return model.phases.flatMap((phase, at) => {
    const [mark, style] = markOf(phase, glyphs);
    const time = phase.startedAt === undefined ? "" : ` ${timeText(phaseSeconds(phase, model.now))}`;
    const name = span(`${mark}${space}${phaseLabel(LABELS, phase.name)}${times ? time : ""}`, style);
    return at === 0 ? [name] : [span(" ".repeat(gap)), name];
  });
}

function markOf(phase: PhaseState, glyphs: Theme["glyphs"]): [string, Style] {
  if (phase.startedAt === undefined) return [glyphs.next, "dim"];
  return phase.endedAt === undefined ? [glyphs.now, "now"] : [glyphs.done, "good"];
}

function phaseSeconds(phase: PhaseState, now: number): number {
  return phase.startedAt === undefined ? 0 : ((phase.endedAt ?? now) - phase.startedAt) / 1000;
}
