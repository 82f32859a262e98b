/**
 * The results of the benchmark: plain data, written as JSON, and its texts.
 *
 * @module
 */
import { type Cost, median } from "./measure.ts";

/** Where and how it was measured. */
export interface Setting {
  /** ISO date. */
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  /** Load average of the last minute before the first run; above 0.5 the figures say little. */
  readonly load: number;
  readonly versions: string;
  /** Guest bytes of the usual disk. */
  readonly size: number;
  readonly runs: number;
  readonly sync: string;
  readonly seed: number;
}

/** One program in one case. */
export interface Row {
  readonly name: string;
  readonly costs: readonly Cost[];
  /** Bytes that the target takes on the host. */
  readonly stored?: number;
}

/** What a case must reach: `row` is diskcast's. */
export type Goal =
  & { readonly row: string }
  & (
    /** Wall time divided by that of `against`. */
    | { readonly kind: "ratio"; readonly against: string; readonly most: number }
    /** Seconds of wall time. */
    | { readonly kind: "seconds"; readonly most: number }
    /** Seconds of wall time more than `against`. */
    | { readonly kind: "more"; readonly against: string; readonly most: number }
    /** Peak memory in bytes. */
    | { readonly kind: "memory"; readonly most: number }
  );

/** A case that was run, or not. */
export interface CaseResult {
  readonly name: string;
  readonly title: string;
  readonly goals: readonly Goal[];
  /** Why it was not run. */
  readonly skipped?: string;
  readonly rows: readonly Row[];
}

/** `deno task bench --json`. */
export interface BenchResults extends Setting {
  readonly kind: "bench";
  readonly cases: readonly CaseResult[];
}

/** How cost grows with one quantity. */
export interface Series {
  readonly name: string;
  readonly title: string;
  /** What grows. */
  readonly x: string;
  readonly unit: "bytes" | "number";
  readonly points: readonly { readonly x: number; readonly rows: readonly Row[] }[];
  /** Which points were not measured, and why. */
  readonly skipped?: readonly string[];
}

/** `deno task bench --grow --json`. */
export interface GrowResults extends Setting {
  readonly kind: "grow";
  readonly series: readonly Series[];
}

/** A row in figures. */
export interface Figures {
  /** Medians, in seconds. */
  readonly wall: number;
  readonly cpu: number;
  /** Least and most wall time. */
  readonly least: number;
  readonly most: number;
  /** Peak bytes of all runs. */
  readonly memory: number | null;
}

/** Medians, spread and peak of a row. */
export function figuresOf({ costs }: Row): Figures {
  const walls = costs.map(({ wall }) => wall);
  const peaks = costs.map(({ memory }) => memory).filter((memory) => memory !== null);
  return {
    wall: median(walls),
    cpu: median(costs.map(({ cpu }) => cpu)),
    least: Math.min(...walls),
    most: Math.max(...walls),
    memory: peaks.length > 0 ? Math.max(...peaks) : null,
  };
}

/** A goal, and what was reached. */
export interface Verdict {
  readonly goal: string;
  readonly value: string;
  readonly reached: boolean;
}

/** Judges a goal; `null` where one of its rows was not measured. */
export function verdictOf(goal: Goal, rows: readonly Row[]): Verdict | null {
  const figures = (name: string) => {
    const row = rows.find((one) => one.name === name);
    return row && row.costs.length > 0 ? figuresOf(row) : null;
  };
  const own = figures(goal.row);
  if (!own) return null;
  if (goal.kind === "seconds") return verdict(own.wall, goal.most, (value) => `${value.toFixed(2)} s`);
  if (goal.kind === "memory") return own.memory === null ? null : verdict(own.memory, goal.most, megabytes);
  const other = figures(goal.against);
  if (!other) return null;
  const of = goal.against === "qemu-img" ? "" : ` of ${goal.against}`;
  return goal.kind === "ratio"
    ? verdict(own.wall / other.wall, goal.most, (value) => `${value.toFixed(2)}${of}`)
    : verdict(own.wall - other.wall, goal.most, (value) => `${(value * 1000).toFixed(0)} ms more than ${goal.against}`);
}

function verdict(value: number, most: number, text: (value: number) => string): Verdict {
  return { goal: `≤ ${text(most)}`, value: text(value), reached: value <= most };
}

/** As goals are stated: in powers of ten. */
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;

/** Bytes as "12 MiB". */
export function mebibytes(bytes: number | null): string {
  return bytes === null ? "unknown" : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

/** Bytes as "64 MiB", "2 GiB", "16 TiB". */
export function sizeText(bytes: number): string {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Number((bytes / 1024 ** power).toFixed(2))} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** A case as lines of text. The first row is what the others are measured by. */
export function caseText({ name, title, goals, skipped, rows }: CaseResult): string {
  if (skipped !== undefined) return `\n${name}: skipped: ${skipped}`;
  const first = figuresOf(rows[0]);
  const lines = [
    `\n${name}: ${title}`,
    `${" ".repeat(30)}wall s  (least to most)   CPU s  wall x  CPU x   mem x      peak`,
  ];
  for (const row of rows) {
    const { wall, cpu, least, most, memory } = figuresOf(row);
    lines.push([
      `  ${row.name.padEnd(24)}`,
      wall.toFixed(3).padStart(10),
      `  (${least.toFixed(3)} to ${most.toFixed(3)})`.padEnd(20),
      cpu.toFixed(3).padStart(7),
      (wall / first.wall).toFixed(2).padStart(7),
      (cpu / first.cpu).toFixed(2).padStart(7),
      (memory && first.memory ? (memory / first.memory).toFixed(2) : "-").padStart(8),
      mebibytes(memory).padStart(10),
      row.stored === undefined ? "" : `   ${mebibytes(row.stored)} written`,
    ].join(""));
  }
  for (const goal of goals) {
    const found = verdictOf(goal, rows);
    if (found) {
      lines.push(`  ${found.reached ? "reached" : "MISSED "}  ${goal.row}: ${found.value}, goal ${found.goal}`);
    }
  }
  return lines.join("\n");
}
