import assert from "node:assert/strict";
import { allFormats, convert, type ConvertJob, type TargetSpec } from "../mod.ts";
import { readyCodecPool, readyWorkerIo } from "./support/workers.ts";
import { type LayeredDisk, layeredDisk } from "./support/layered.ts";
import {
  hasQemu,
  type MapEntry,
  mapJson,
  qemuImg,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  rounds,
  type Scratch,
  scratch,
  seed,
} from "./support/qemu.ts";

/** The number of conversions to compare, by number of workers; without one, as many workers as cores. */
const suites: readonly { readonly workers?: number; readonly count: number }[] = [
  { count: rounds(32, 100) },
  { workers: 1, count: rounds(8, 20) },
  { workers: 16, count: rounds(8, 20) },
];

/** Exit code of `qemu-img check` for a format that it cannot check. */
const UNCHECKED = 63;

/** Further formats that can be written. */
const others: readonly string[] = allFormats.filter((format) => format.create).map((format) => format.name)
  .filter((name) => name !== "raw" && name !== "qcow2");

/** One conversion, as the arguments of both programs. */
interface Wish {
  /** For `qemu-img convert`, without sources and target. */
  readonly args: readonly string[];
  /** For diskcast, without sources and the target's path. */
  readonly job: Omit<Partial<ConvertJob>, "target">;
  readonly target: Omit<TargetSpec, "path">;
  readonly disks: readonly LayeredDisk[];
  /** Makes the target before the conversion, for `-n`. */
  readonly existing?: (path: string) => Promise<void>;
}

type Options = { readonly [name: string]: string };

for (const { workers, count } of suites) {
  Deno.test({
    name: `converts random disks as qemu-img does: content, metadata, map; ${workers ?? "the usual"} workers`,
    ignore: !hasQemu,
    async fn() {
      const runSeed = seed();
      let equalMaps = 0;
      for (let round = 0; round < count; round++) {
        // Each round from its own seed: one that fails can be repeated alone.
        if (await compareOne(runSeed + round, workers)) equalMaps++;
      }
      console.log(`${count} conversions compared with qemu-img, ${equalMaps} with equal maps`);
      // A few maps may differ, and few rounds say little of how many.
      assert(equalMaps > count * 0.8 - 3, `only ${equalMaps} of ${count} maps are equal`);
    },
  });
}

/** Returns whether the maps are equal as well. */
async function compareOne(roundSeed: number, workers: number | undefined): Promise<boolean> {
  await using folder = await scratch();
  const random = rng(roundSeed);
  const wish = await wishFor(folder, random);
  const [theirs, ours] = [folder.file("theirs"), folder.file("ours")];
  const told = [
    `TEST_SEED=${roundSeed}, workers: ${workers ?? "the usual"}`,
    ...wish.disks.flatMap((disk) => disk.story),
  ];
  told.push(`qemu-img convert ${wish.args.join(" ")} ${wish.disks.map((disk) => disk.path).join(" ")} OUT`);
  try {
    for (const path of [theirs, ours]) await wish.existing?.(path);
    const sources = wish.disks.map((disk) => ({ path: disk.path, format: disk.layers[0].format }));
    // Formats are always given: other tests cover probing.
    const format = ["-f", sources[0].format];
    await qemuImgOk("convert", ...format, ...wish.args, ...sources.map((source) => source.path), theirs);
    const job: ConvertJob = { ...wish.job, sources, target: { ...wish.target, path: ours }, sync: "never" };
    // Workers write guest data whose file offset is fixed, unless the job has one thread.
    const io = workers !== 1 && wish.target.format !== "qcow2" ? await readyWorkerIo() : null;
    const pool = await readyCodecPool(workers);
    await convert({ ...job, ...(workers !== undefined && { workers }) }, { pool, ...(io && { workerIo: io }) });
    return await compareImages(theirs, ours, wish);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${told.join("\n")}`, { cause: error });
  }
}

/** Throws if their guest bytes differ; returns whether their maps are equal. */
async function compareImages(theirs: string, ours: string, wish: Wish): Promise<boolean> {
  const format = wish.target.format!;
  const compared = await qemuImg("compare", "-f", format, "-F", format, theirs, ours);
  assert.equal(compared.code, 0, compared.stdout + compared.stderr);
  const checked = await qemuImg("check", "-f", format, ours);
  assert([0, UNCHECKED].includes(checked.code), checked.stdout + checked.stderr);
  // In formats with a geometry, each program rounds the size up in its own way.
  if (others.includes(format)) return true;
  assert.equal(compared.stdout.trim(), "Images are identical.");
  // The map of raw files depends on the host, and qemu-img allocates their first block in any case.
  if (format === "raw") return true;
  const found = await mapJson(ours, "qcow2");
  if ((wish.target.options?.["preallocation"] ?? "off") !== "off") {
    // qemu-img deallocates preallocated clusters that are zero; diskcast keeps the preallocation.
    assert(found.every((entry) => entry.data), "map: preallocated clusters are missing");
    return true;
  }
  const differing = differences(found, await mapJson(theirs, "qcow2"));
  const cluster = Number(wish.target.options?.["cluster_size"] ?? 65_536);
  const bound = 2 * Math.max(cluster, wish.job.sparseSize ?? 4096);
  const costly = differing.filter(({ found, expected, start, end }) => found > expected && end - start > bound);
  assert.deepEqual(costly, [], "map: allocates more than qemu-img");
  return differing.length === 0;
}

/** The status of a range in the image: `0` unallocated, `1` zero, `2` data. */
type Cost = 0 | 1 | 2;

interface Difference {
  readonly start: number;
  readonly end: number;
  readonly found: Cost;
  readonly expected: Cost;
}

/**
 * Returns the ranges in which two maps differ. They may differ a little: qemu-img detects zeroes in each buffer and each
 * extent of the source separately, and compresses clusters of which only a part has changed. Holes of the host inside a data
 * cluster are ignored.
 */
function differences(found: readonly MapEntry[], expected: readonly MapEntry[]): Difference[] {
  const cuts = [...new Set([...found, ...expected].flatMap(({ start, length }) => [start, start + length]))];
  cuts.sort((a, b) => a - b);
  const list: Difference[] = [];
  for (const [index, start] of cuts.slice(0, -1).entries()) {
    const one = { start, end: cuts[index + 1], found: costAt(found, start), expected: costAt(expected, start) };
    const last = list.at(-1);
    if (one.found === one.expected) continue;
    if (last && last.end === start && last.found === one.found && last.expected === one.expected) {
      list[list.length - 1] = { ...last, end: one.end };
    } else list.push(one);
  }
  return list;
}

function costAt(map: readonly MapEntry[], guest: number): Cost {
  const entry = map.find(({ start, length }) => start <= guest && guest < start + length);
  assert(entry, `map: nothing is said of ${guest}`);
  if (entry.depth > 0) return 0;
  return entry.data ? 2 : 1;
}

async function wishFor(folder: Scratch, random: Rng): Promise<Wish> {
  const kind = random.pick([
    "new",
    "new",
    "new",
    "compressed",
    "sparse",
    "existing",
    "backing",
    "compressed backing",
    "joined",
    "other",
  ]);
  if (kind === "joined") return await joined(folder, random);
  let disk = await layeredDisk(folder, "disk", random);
  if (kind.endsWith("backing")) {
    for (let more = 1; disk.layers.length < 2; more++) disk = await layeredDisk(folder, `disk${more}`, random);
    return overBacking(disk, kind.startsWith("compressed"), random);
  }
  if (kind === "existing") return intoExisting(disk, random);
  if (kind === "other" && others.length > 0) return wishOf([disk], random.pick(others));
  const raw = kind !== "compressed" && random.chance(0.25);
  const options = raw ? {} : qcow2Options(random, kind === "compressed");
  const wish = wishOf([disk], raw ? "raw" : "qcow2", options);
  if (kind === "compressed") {
    return { ...wish, args: ["-c", ...wish.args], target: { ...wish.target, compress: true } };
  }
  if (kind === "new") return wish;
  const sparseSize = random.pick([0, 512, 4096, 16_384, 65_536]);
  return { ...wish, args: ["-S", `${sparseSize}`, ...wish.args], job: { sparseSize } };
}

function wishOf(disks: readonly LayeredDisk[], format: string, options: Options = {}): Wish {
  return {
    args: ["-O", format, ...listed(options)],
    job: {},
    target: { format, options },
    disks,
  };
}

async function joined(folder: Scratch, random: Rng): Promise<Wish> {
  const disks: LayeredDisk[] = [];
  while (disks.length < random.int(2, 4)) {
    const disk = await layeredDisk(folder, `disk${disks.length}`, random, 2);
    // `-f` gives one format for all sources.
    if (disk.layers[0].format === (disks[0]?.layers[0].format ?? "qcow2")) disks.push(disk);
    else for (const layer of disk.layers) await Deno.remove(layer.path);
  }
  return wishOf(disks, random.pick(["raw", "qcow2", "qcow2"]));
}

function overBacking(disk: LayeredDisk, compress: boolean, random: Rng): Wish {
  const { path, format } = disk.layers[1];
  const options = qcow2Options(random, true);
  const wish = wishOf([disk], "qcow2", options);
  return {
    ...wish,
    args: [...(compress ? ["-c"] : []), ...wish.args, "-B", path, "-F", format],
    target: { ...wish.target, compress, backing: { path, format } },
  };
}

function intoExisting(disk: LayeredDisk, random: Rng): Wish {
  const format = random.pick(["raw", "qcow2"].filter((name) => allFormats.find((one) => one.name === name)?.edit));
  const compress = format === "qcow2" && random.chance(0.2);
  // qemu-img cannot compress the last cluster of a source when it is shorter than that of the target.
  const size = disk.size + (compress ? 0 : random.int(0, 64) * 512);
  const options = format === "raw" ? [] : listed(qcow2Options(random, true));
  const dirt = [`write -P 85 0 ${Math.min(size, 70_144)}`, `write -P 86 ${size - 512} 512`];
  // A compressed cluster cannot replace an allocated one: qemu-img refuses that.
  const isZero = compress || random.chance(0.3);
  const flags = isZero && random.chance(0.5) ? ["--target-is-zero"] : [];
  return {
    args: ["-n", ...flags, ...(compress ? ["-c"] : []), "-O", format],
    job: {},
    target: { format, compress, create: false, isZero: flags.length > 0 },
    disks: [disk],
    async existing(path) {
      await qemuImgOk("create", "-q", "-f", format, ...options, path, `${size}`);
      if (!isZero) await qemuIo(["-f", format, path], ...dirt);
    },
  };
}

/** Returns creation options, without preallocation if it contradicts the others. */
function qcow2Options(random: Rng, plain: boolean): Options {
  const options: { [name: string]: string } = {};
  const cluster = random.pick([512, 1024, 4096, 16_384, 65_536, 131_072]);
  if (random.chance(0.7)) options["cluster_size"] = `${cluster}`;
  if (random.chance(0.2)) return { ...options, compat: "0.10" };
  const large = Number(options["cluster_size"] ?? 65_536) >= 16_384;
  if (large && random.chance(0.3)) options["extended_l2"] = "on";
  if (random.chance(0.2)) options["compression_type"] = "zstd";
  if (random.chance(0.2)) options["refcount_bits"] = random.pick(["1", "8", "32", "64"]);
  if (random.chance(0.2)) options["lazy_refcounts"] = "on";
  if (!plain && random.chance(0.25)) options["preallocation"] = random.pick(["metadata", "falloc", "full"]);
  return options;
}

/** Returns the options as the value of `-o`. */
function listed(options: Options): string[] {
  const list = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return list.length > 0 ? ["-o", list.join(",")] : [];
}
