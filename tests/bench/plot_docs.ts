/**
 * `deno task bench:plot JSON...`: draws what the benchmark has found into `docs/`, and writes the tables of
 * `docs/performance.md` anew, between their markers.
 *
 * @module
 */
import { barPlot, type Line, linePlot, picture } from "./plot.ts";
import {
  type BenchResults,
  type CaseResult,
  figuresOf,
  type GrowResults,
  mebibytes,
  type Row,
  type Series,
  type Setting,
  sizeText,
  type Verdict,
  verdictOf,
} from "./results.ts";

const docs = new URL("../../docs/", import.meta.url);
const page = new URL("performance.md", docs);

/** Bars are cut off at this ratio. */
const RATIO_LIMIT = 2;

/** `text` with another part between the markers of `kind`. */
function replaced(text: string, kind: string, part: string): string {
  const [begin, end] = [`<!-- ${kind}: begin -->`, `<!-- ${kind}: end -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/performance.md lacks the markers "${begin}" and "${end}"`);
  return `${text.slice(0, from + begin.length)}\n\n${part.trim()}\n\n${text.slice(to)}`;
}

async function benchPart(results: BenchResults): Promise<string> {
  const run = results.cases.filter(({ rows }) => rows.length > 0);
  await writePlot("performance-ratios.svg", [barPlot({
    title: "Wall time divided by qemu-img's; the stroke is the goal",
    limit: RATIO_LIMIT,
    text: (value) => value.toFixed(2),
    bars: run.flatMap(ratiosOf),
  })]);
  return [
    settingText(results),
    "![Wall time of every case divided by that of qemu-img](performance-ratios.svg)",
    goalTable(results.cases),
    "Medians; in brackets the least and the most of the runs:",
    fullTable(run),
  ].join("\n\n");
}

function ratiosOf({ title, goals, rows }: CaseResult): { name: string; value: number; mark: number }[] {
  return goals.flatMap((goal) => {
    if (goal.kind !== "ratio") return [];
    const wall = (name: string) => {
      const row = rows.find((one) => one.name === name);
      return row ? figuresOf(row).wall : NaN;
    };
    const against = goal.against === "qemu-img" ? "" : ` (${goal.against.replace("qemu-img ", "")})`;
    const value = wall(goal.row) / wall(goal.against);
    return Number.isNaN(value) ? [] : [{ name: `${title}${against}`, value, mark: goal.most }];
  });
}

function goalTable(cases: readonly CaseResult[]): string {
  const lines = ["| Case | Who | Goal | Found | |", "| --- | --- | --- | --- | --- |"];
  for (const { title, goals, rows, skipped } of cases) {
    if (skipped !== undefined) lines.push(`| ${title} | | | skipped: ${skipped} | |`);
    for (const goal of goals) {
      const found: Verdict | null = verdictOf(goal, rows);
      if (found) {
        const judged = found.reached ? "reached" : "**missed**";
        lines.push(`| ${title} | ${goal.row} | ${found.goal} | ${found.value} | ${judged} |`);
      }
    }
  }
  return lines.join("\n");
}

function fullTable(cases: readonly CaseResult[]): string {
  const lines = [
    "| Case | Program | Wall, s | CPU, s | Peak memory | Wall × | CPU × | Memory × | Stored |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
  ];
  for (const { title, rows } of cases) {
    const first = figuresOf(rows[0]);
    for (const [index, row] of rows.entries()) {
      const { wall, least, most, cpu, memory } = figuresOf(row);
      const ratio = (value: number | null, one: number | null) => value && one ? (value / one).toFixed(2) : "";
      lines.push(`| ${
        [
          index === 0 ? title : "",
          row.name,
          `${wall.toFixed(3)} (${least.toFixed(3)}–${most.toFixed(3)})`,
          cpu.toFixed(3),
          mebibytes(memory),
          ratio(wall, first.wall),
          ratio(cpu, first.cpu),
          ratio(memory, first.memory),
          row.stored === undefined ? "" : mebibytes(row.stored),
        ].join(" | ")
      } |`);
    }
  }
  return lines.join("\n");
}

async function growPart(results: GrowResults): Promise<string> {
  const parts = [settingText(results)];
  for (const series of results.series.filter(({ points }) => points.length > 0)) {
    const file = `performance-${series.name}.svg`;
    await writePlot(file, [timePlot(series), memoryPlot(series)]);
    parts.push(`### ${capital(series.x)}`, `![${series.title}: time and peak memory over ${series.x}](${file})`);
    parts.push(growTable(series));
    if (series.skipped) parts.push(`Not measured: ${series.skipped.join("; ")}.`);
  }
  return parts.join("\n\n");
}

const timePlot = (series: Series) => plotOf(series, "seconds", seconds, (row) => figuresOf(row).wall);

const memoryPlot = (series: Series) =>
  plotOf(series, "peak memory, MiB", (value) => `${value}`, (row) => (figuresOf(row).memory ?? 0) / 2 ** 20);

function plotOf(series: Series, label: string, text: (value: number) => string, valueOf: (row: Row) => number) {
  const names = series.points[0].rows.map(({ name }) => name);
  const lines = names.map((name): Line => ({
    name,
    points: series.points.flatMap(({ x, rows }) => {
      const row = rows.find((one) => one.name === name);
      return row ? [{ x, y: valueOf(row) }] : [];
    }),
  }));
  return linePlot({ title: series.title, x: { label: series.x, text: xText(series) }, y: { label, text }, lines });
}

function growTable(series: Series): string {
  const names = series.points[0].rows.map(({ name }) => name);
  const lines = [
    `| ${capital(series.x)} | ${names.flatMap((name) => [`${name}, s`, "peak"]).join(" | ")} |`,
    `| --- |${" --- | --- |".repeat(names.length)}`,
  ];
  for (const { x, rows } of series.points) {
    const cells = rows.map(figuresOf).flatMap(({ wall, memory }) => [wall.toFixed(2), mebibytes(memory)]);
    lines.push(`| ${[xText(series)(x), ...cells].join(" | ")} |`);
  }
  return lines.join("\n");
}

const xText = ({ unit }: Series) => unit === "bytes" ? sizeText : (value: number) => `${value}`;
const seconds = (value: number) => `${Number(value.toPrecision(2))}`;
const capital = (text: string) => text[0].toUpperCase() + text.slice(1);

function settingText({ date, processor, cores, load, versions, size, runs, sync, seed }: Setting): string {
  const busy = load > 0.5
    ? ` **The load in the minute before was ${load.toFixed(1)}: if it stayed so, this is a rough picture.**`
    : "";
  // What the goals are stated for.
  const small = size < 2 ** 31 ? " On a disk this small the start of Deno weighs more than on the usual 2 GiB." : "";
  return `Measured ${date.slice(0, 10)} on ${processor}, ${cores} cores; ${versions}. ` +
    `Disk of ${sizeText(size)}, seed ${seed}, \`-t ${sync}\`, ${runs} run${
      runs === 1 ? "" : "s"
    } after a warm-up.${busy}${small}`;
}

async function writePlot(name: string, panels: Parameters<typeof picture>[0]): Promise<void> {
  await Deno.writeTextFile(new URL(name, docs), picture(panels));
}

await main(Deno.args);

async function main(paths: readonly string[]): Promise<void> {
  if (paths.length === 0 || paths[0].startsWith("-")) {
    return console.log("usage: deno task bench:plot FILE...   (FILE: written by deno task bench [--grow] --json=FILE)");
  }
  let text = await Deno.readTextFile(page);
  for (const path of paths) {
    const results = JSON.parse(await Deno.readTextFile(path)) as BenchResults | GrowResults;
    text = replaced(text, results.kind, results.kind === "bench" ? await benchPart(results) : await growPart(results));
  }
  await Deno.writeTextFile(page, text);
}
