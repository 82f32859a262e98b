/**
 * `deno task bench`: diskcast beside qemu-img, in turn, on images made from a seed.
 *
 * Each runs as a process of its own with the same setting for syncing; diskcast may read and write the folder of the
 * images, and, in a second row, call the C library. The first round warms the cache and does not count.
 *
 * @module
 */
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { parseSize } from "../../mod.ts";
import { hasQemu, qemuImgOk, type Scratch, scratch } from "../support/qemu.ts";
import { type BenchCase, cases, startUpGoals } from "./cases.ts";
import { both, contend, type Contender, installed, otherCopier } from "./contend.ts";
import { grow, seriesNames } from "./grow.ts";
import { formatOf, type Inputs, inputsIn } from "./inputs.ts";
import {
  type BenchResults,
  type CaseResult,
  caseText,
  type GrowResults,
  type Series,
  type Setting,
  sizeText,
} from "./results.ts";
import { lackOfSpace } from "./space.ts";
import { startUp } from "./start_up.ts";

const USAGE = `usage: deno task bench [options]
  --size=SIZE       guest bytes of the disk, half of it data (default 2G; with --grow the largest, default 16G)
  --scattered=SIZE  data of the disk of 16 TiB (default: half of --size)
  --runs=N          runs that count (default 5; with --grow 3)
  --case=NAME       only this case; can be repeated
  --grow            how cost grows with data, virtual size, workers and clusters; --case names a series then
  --sync=MODE       writeback: on stable storage at the end; unsafe: never waited for (default writeback)
  --dir=FOLDER      where the images are made (default: the system's folder for temporary files)
  --seed=N          seed of the images (default 1)
  --json=FILE       write what was found into this file; "deno task bench:plot" draws it`;

interface Settings extends Setting {
  readonly scattered: number;
  readonly wanted: readonly string[];
}

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      size: { type: "string" },
      scattered: { type: "string" },
      runs: { type: "string" },
      case: { type: "string", multiple: true, default: [] },
      grow: { type: "boolean", default: false },
      sync: { type: "string", default: "writeback" },
      dir: { type: "string" },
      seed: { type: "string", default: "1" },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const known = values.grow ? seriesNames : ["start-up", ...cases.map((one) => one.name)];
  if (values.help) return console.log(`${USAGE}\n${values.grow ? "series" : "cases"}: ${known.join(", ")}`);
  const strange = values.case.filter((name) => !known.includes(name));
  if (strange.length > 0) throw new Error(`no such case: ${strange.join(", ")}`);
  if (!hasQemu) throw new Error("the benchmark compares with qemu-img, which is not installed (Debian: qemu-utils)");
  const size = parseSize(values.size ?? (values.grow ? "16G" : "2G"), "size");
  const settings: Settings = {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model ?? "unknown",
    cores: navigator.hardwareConcurrency,
    load: loadavg()[0],
    versions: `${(await qemuImgOk("--version")).split("\n")[0]}; Deno ${Deno.version.deno}; ${Deno.build.target}`,
    size,
    runs: Number(values.runs ?? (values.grow ? 3 : 5)),
    sync: values.sync,
    seed: Number(values.seed),
    scattered: values.scattered === undefined ? size / 2 : parseSize(values.scattered, "scattered"),
    wanted: values.case,
  };
  await using folder = await scratch(values.dir);
  console.log(`${settings.versions}; ${settings.cores} cores, load ${settings.load.toFixed(2)}`);
  console.log(`${sizeText(size)}, seed ${settings.seed}; -t ${settings.sync}; ${settings.runs} runs each`);
  const save = (found: BenchResults | GrowResults) => {
    if (values.json !== undefined) Deno.writeTextFileSync(values.json, `${JSON.stringify(found)}\n`);
  };
  await (values.grow ? growAll(folder, settings, save) : benchAll(folder, settings, save));
}

/** `save` gets the results after every case, so that an interrupted run loses none. */
async function benchAll(
  folder: Scratch,
  { scattered, wanted, ...setting }: Settings,
  save: (found: BenchResults) => void,
): Promise<void> {
  const results: CaseResult[] = [];
  const report = (result: CaseResult) => {
    results.push(result);
    console.log(caseText(result));
    save({ kind: "bench", ...setting, cases: results });
  };
  const inputs = inputsIn(folder, { size: setting.size, scattered, seed: setting.seed });
  const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);
  if (isWanted("start-up")) {
    const rows = await startUp(folder, await inputs.get("tiny"), 3 * setting.runs);
    report({ name: "start-up", title: "programs that do little", goals: startUpGoals, rows });
  }
  const chosen = cases.filter((one) => isWanted(one.name));
  for (const [index, one] of chosen.entries()) {
    await inputs.keep(chosen.slice(index).flatMap((later) => later.inputs));
    report(await runCase(one, folder, inputs, setting));
  }
}

async function runCase(one: BenchCase, folder: Scratch, inputs: Inputs, setting: Setting): Promise<CaseResult> {
  const { name, title, goals } = one;
  // The target takes no more than the data, or than its source.
  const missing = inputs.missing(one.inputs);
  const lacking = lackOfSpace(folder.path, missing + Math.max(missing, setting.size / 2));
  if (lacking) return { name, title, goals, skipped: lacking, rows: [] };
  const paths: string[] = [];
  for (const input of one.inputs) paths.push(await inputs.get(input));
  const { runs } = setting;
  if (one.reads) {
    const args = [one.reads.command, ...one.reads.flags, ...paths];
    return { name, title, goals, rows: await contend({ contenders: both(folder.path, args), runs }) };
  }
  const target = folder.file("target");
  const [source] = paths;
  const from = formatOf(one.inputs[0]);
  const contenders = converters(one, folder.path, source, target, setting.sync);
  const judge = one.alone ? undefined : () => qemuImgOk("compare", "-f", from, "-F", one.convert!.to, source, target);
  return { name, title, goals, rows: await contend({ contenders, runs, target, ...(judge && { judge }) }) };
}

function converters(one: BenchCase, folder: string, source: string, target: string, sync: string): Contender[] {
  const from = formatOf(one.inputs[0]);
  const { to, flags } = one.convert!;
  const args = ["convert", "-t", sync, "-f", from, "-O", to, ...flags];
  const files = [source, target];
  const [qemu, ...rest] = both(folder, [...args, ...files], one.ffiOnly);
  // Without -W it compress one cluster at a time.
  const wide = { name: "qemu-img -W -m 16", program: "qemu-img", args: [...args, "-W", "-m", "16", ...files] };
  const compress = flags.includes("-c") && to === "qcow2";
  const others = (one.others ?? []).filter(installed);
  return [
    ...(one.alone ? [] : [qemu]),
    ...(compress ? [wide] : []),
    ...others.map((name) => otherCopier(name, from, source, target, sync !== "unsafe")),
    ...rest,
  ];
}

async function growAll(
  folder: Scratch,
  { scattered: _, wanted, ...setting }: Settings,
  save: (found: GrowResults) => void,
): Promise<void> {
  const series: Series[] = [];
  for await (const one of grow(folder, setting, wanted, (line) => console.log(line))) {
    series.push(one);
    save({ kind: "grow", ...setting, series });
  }
}
