/**
 * `deno task bench`: diskcast beside qemu-img, in turn, on images made from a seed.
 *
 * Each runs as a process of its own with the same setting for syncing; diskcast may read and write the folder of the
 * images, and, in a second row, call the C library. The first round warms the cache and does not count.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { parseSize } from "../../mod.ts";
import { denoArgs } from "../support/diskcast.ts";
import { hasQemu, qemuImgOk, rng, scratch } from "../support/qemu.ts";
import { makeOthers, makeRaw } from "./images.ts";
import { type Cost, measure, median } from "./measure.ts";

const USAGE = `usage: deno task bench [options]
  --size=SIZE    guest bytes of the disk, half of it data (default 2G)
  --runs=N       runs that count (default 5)
  --case=NAME    only this case; can be repeated
  --sync=MODE    writeback: on stable storage at the end; unsafe: never waited for (default writeback)
  --dir=FOLDER   where the images are made (default: the system's folder for temporary files)
  --seed=N       seed of the images (default 1)`;

interface BenchCase {
  readonly name: string;
  readonly source: "raw" | "qcow2" | "packed";
  /** Creation flags, the same for both programs. */
  readonly flags: readonly string[];
  readonly target: "raw" | "qcow2";
}

const cases: readonly BenchCase[] = [
  { name: "raw-raw", source: "raw", flags: [], target: "raw" },
  { name: "raw-qcow2", source: "raw", flags: [], target: "qcow2" },
  { name: "qcow2-raw", source: "qcow2", flags: [], target: "raw" },
  { name: "qcow2-qcow2", source: "qcow2", flags: [], target: "qcow2" },
  { name: "raw-zlib", source: "raw", flags: ["-c"], target: "qcow2" },
  { name: "raw-zstd", source: "raw", flags: ["-c", "-o", "compression_type=zstd"], target: "qcow2" },
  { name: "zlib-raw", source: "packed", flags: [], target: "raw" },
];

/** One program with its switches. */
interface Contender {
  readonly name: string;
  readonly program: string;
  readonly before: readonly string[];
}

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      size: { type: "string", default: "2G" },
      runs: { type: "string", default: "5" },
      case: { type: "string", multiple: true, default: [] },
      sync: { type: "string", default: "writeback" },
      dir: { type: "string" },
      seed: { type: "string", default: "1" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return console.log(`${USAGE}\ncases: start-up, ${cases.map((one) => one.name).join(", ")}`);
  const wanted = values.case;
  const strange = wanted.filter((name) => name !== "start-up" && !cases.some((one) => one.name === name));
  if (strange.length > 0) throw new Error(`no such case: ${strange.join(", ")}`);
  if (!hasQemu) throw new Error("the benchmark compares with qemu-img, which is not installed (Debian: qemu-utils)");
  await using folder = await scratch(values.dir);
  const runs = Number(values.runs);
  console.log(`${(await qemuImgOk("--version")).split("\n")[0]}; Deno ${Deno.version.deno}; ${Deno.build.target}`);
  if (wanted.length === 0 || wanted.includes("start-up")) await startUp(folder.path, runs);
  const chosen = cases.filter((one) => wanted.length === 0 || wanted.includes(one.name));
  if (chosen.length === 0) return;
  const size = parseSize(values.size, "size");
  console.log(`\n${values.size} disk, half of it data, seed ${values.seed}; -t ${values.sync}; ${runs} runs each`);
  const raw = folder.file("source.raw");
  await makeRaw(raw, size, rng(Number(values.seed)));
  const packed = chosen.some((one) => one.source === "packed") ? folder.file("packed.qcow2") : null;
  await makeOthers(raw, folder.file("source.qcow2"), packed);
  for (const one of chosen) await compareCase(one, folder.path, runs, values.sync);
}

async function compareCase(one: BenchCase, folder: string, runs: number, sync: string): Promise<void> {
  const source = `${folder}/${one.source === "packed" ? "packed.qcow2" : `source.${one.source}`}`;
  const from = one.source === "raw" ? "raw" : "qcow2";
  const costs = new Map<string, Cost[]>();
  const contenders = contendersFor(one, folder);
  for (let round = 0; round <= runs; round++) {
    for (const { name, program, before } of contenders) {
      const target = `${folder}/target`;
      const args = [...before, "convert", "-t", sync, "-f", from, "-O", one.target, ...one.flags];
      const wide = name === "qemu-img -W" ? ["-W", "-m", "16"] : [];
      const cost = await measure(program, [...args, ...wide, source, target]);
      if (round > 0) costs.set(name, [...costs.get(name) ?? [], cost]);
      else await qemuImgOk("compare", "-f", from, "-F", one.target, source, target);
      await Deno.remove(target);
    }
  }
  report(one.name, costs);
}

function contendersFor(one: BenchCase, folder: string): Contender[] {
  const grants = { read: [folder], write: [folder] };
  const qemu = { program: "qemu-img", before: [] };
  return [
    { name: "qemu-img", ...qemu },
    // Without -W it packs one cluster at a time.
    ...(one.flags.includes("-c") ? [{ name: "qemu-img -W", ...qemu }] : []),
    { name: "diskcast", program: Deno.execPath(), before: denoArgs(grants) },
    { name: "diskcast, ffi", program: Deno.execPath(), before: denoArgs({ ...grants, ffi: true }) },
  ];
}

async function startUp(folder: string, runs: number): Promise<void> {
  const empty = `${folder}/empty.ts`;
  await Deno.writeTextFile(empty, "");
  const deno = Deno.execPath();
  const contenders: [string, string[]][] = [
    ["empty Deno program", ["run", "--no-prompt", empty]],
    ["diskcast --version", [...denoArgs({}), "--version"]],
    ["diskcast --help", [...denoArgs({}), "--help"]],
  ];
  const costs = new Map<string, Cost[]>();
  for (let round = 0; round <= 3 * runs; round++) {
    for (const [name, args] of contenders) {
      const cost = await measure(deno, args);
      if (round > 0) costs.set(name, [...costs.get(name) ?? [], cost]);
    }
  }
  report("start-up", costs);
}

/** The first contender is what the others are measured by. */
function report(title: string, costs: ReadonlyMap<string, readonly Cost[]>): void {
  console.log(`\n${title.padEnd(20)}    wall s   (least to most)    CPU s   wall ratio   CPU ratio   peak MiB`);
  const [first] = costs.values();
  const wallOf = (list: readonly Cost[]) => median(list.map((cost) => cost.wall));
  const cpuOf = (list: readonly Cost[]) => median(list.map((cost) => cost.cpu));
  for (const [name, list] of costs) {
    const walls = list.map((cost) => cost.wall);
    const peaks = list.map((cost) => cost.memory).filter((memory) => memory !== null);
    console.log([
      `  ${name.padEnd(18)}`,
      wallOf(list).toFixed(3).padStart(10),
      `   (${Math.min(...walls).toFixed(3)} to ${Math.max(...walls).toFixed(3)})`.padEnd(19),
      cpuOf(list).toFixed(3).padStart(8),
      (wallOf(list) / wallOf(first)).toFixed(2).padStart(13),
      (cpuOf(list) / cpuOf(first)).toFixed(2).padStart(12),
      peaks.length > 0 ? (Math.max(...peaks) / 2 ** 20).toFixed(0).padStart(11) : "unknown".padStart(11),
    ].join(""));
  }
}
