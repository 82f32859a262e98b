/**
 * The phases of a job in one line. Pure.
 *
 * @module
 */
import type { Model, PhaseState } from "./model.ts";
import { printable } from "./text.ts";
import { type Line, lineColumns, type Span, span, type Style, type Theme } from "./theme.ts";
import { timeText } from "./units.ts";

const LABELS: { readonly [phase: string]: string } = {
  inspect: "Inspect",
  plan: "Plan",
  copy: "Copy",
  verify: "Verify",
  finish: "Finish",
};

/** What a table calls a phase; one that it does not know has its own name. */
export function named(table: { readonly [name: string]: string }, name: string): string {
  return table[name] ?? printable(name.charAt(0).toUpperCase() + name.slice(1));
}

/** The phases with their times, as much of that as fits. */
export function phasesLine(model: Model, columns: number, theme: Theme): Line {
  const forms = [
    ...[true, false].flatMap((times) => [2, 1].map((gap) => phasesForm(model, theme, { times, gap, space: " " }))),
    phasesForm(model, theme, { times: false, gap: 1, space: "" }),
  ];
  return forms.find((line) => lineColumns(line) <= columns) ?? forms.at(-1)!;
}

/** Whether times are told, columns between two phases, and what stands between a mark and its name. */
interface PhasesForm {
  readonly times: boolean;
  readonly gap: number;
  readonly space: string;
}

function phasesForm(model: Model, { glyphs }: Theme, { times, gap, space }: PhasesForm): Span[] {
  return model.phases.flatMap((phase, at) => {
    const [mark, style] = markOf(phase, glyphs);
    const time = phase.startedAt === undefined ? "" : ` ${timeText(phaseSeconds(phase, model.now))}`;
    const name = span(`${mark}${space}${named(LABELS, phase.name)}${times ? time : ""}`, style);
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
