/**
 * How cost grows: the same conversion with more data, a larger disk, more workers, other clusters.
 *
 * @module
 */
import { qemuImgOk, rng, type Scratch } from "../support/qemu.ts";
import { both, contend, type Contender } from "./contend.ts";
import { makeRaw, makeScattered } from "./images.ts";
import { figuresOf, mebibytes, type Row, type Series, type Setting, sizeText } from "./results.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** One conversion of a series. */
interface Point {
  readonly x: number;
  readonly from: string;
  readonly to: string;
  readonly source: string;
  readonly flags: readonly string[];
  /** For qemu-img alone. */
  readonly theirs?: readonly string[];
}

interface Growth {
  readonly name: string;
  readonly title: string;
  readonly x: string;
  readonly unit: Series["unit"];
  points(folder: Scratch, setting: Setting): AsyncGenerator<Point>;
}

const growths: readonly Growth[] = [
  {
    name: "data",
    title: "raw → qcow2, disks half full",
    x: "data",
    unit: "bytes",
    async *points(folder, { size, seed }) {
      for (const part of [32, 16, 8, 4, 2, 1]) {
        const source = folder.file("source");
        await makeRaw(source, size / part, rng(seed));
        yield { x: size / part / 2, from: "raw", to: "qcow2", source, flags: [] };
      }
    },
  },
  {
    name: "virtual",
    title: "qcow2 → qcow2, the same data in an ever larger disk",
    x: "virtual size",
    unit: "bytes",
    async *points(folder, { size, seed }) {
      const data = Math.max(16 * MIB, size / 256);
      for (const gibibytes of [1, 16, 256, 1024, 4096, 16_384]) {
        const source = folder.file("source");
        await makeScattered(source, gibibytes * GIB, data, rng(seed));
        yield { x: gibibytes * GIB, from: "qcow2", to: "qcow2", source, flags: [] };
      }
    },
  },
  {
    name: "workers",
    title: "raw → qcow2 -c, zlib",
    x: "workers (-m)",
    unit: "number",
    async *points(folder, { size, seed }) {
      const source = folder.file("source");
      await makeRaw(source, Math.max(128 * MIB, size / 32), rng(seed));
      for (const x of [1, 2, 4, 8, 16]) {
        // Only with -W does qemu-img pack more than one cluster at a time.
        yield { x, from: "raw", to: "qcow2", source, flags: ["-c", "-m", `${x}`], theirs: ["-W"] };
      }
    },
  },
  {
    name: "cluster",
    title: "qcow2 → qcow2, both with clusters of one size",
    x: "cluster size",
    unit: "bytes",
    async *points(folder, { size, seed }) {
      const raw = folder.file("source.raw");
      await makeRaw(raw, Math.max(256 * MIB, size / 8), rng(seed));
      for (const x of [512, 1024, 4096, 16_384, 65_536, 262_144, 2 * MIB]) {
        const source = folder.file("source");
        const flags = ["-o", `cluster_size=${x}`];
        await qemuImgOk("convert", "-f", "raw", "-O", "qcow2", ...flags, raw, source);
        yield { x, from: "qcow2", to: "qcow2", source, flags };
      }
    },
  },
];

/** Names of the series. */
export const seriesNames: readonly string[] = growths.map(({ name }) => name);

/** Measures the series of these names; all where there is none. */
export async function* grow(
  folder: Scratch,
  setting: Setting,
  wanted: readonly string[],
  say: (line: string) => void,
): AsyncGenerator<Series> {
  for (const growth of growths) {
    if (wanted.length > 0 && !wanted.includes(growth.name)) continue;
    const { name, title, x, unit } = growth;
    const points: { x: number; rows: Row[] }[] = [];
    say(`\n${name}: ${title}`);
    for await (const point of growth.points(folder, setting)) {
      const rows = await measurePoint(point, folder, setting);
      points.push({ x: point.x, rows });
      say(`  ${(unit === "bytes" ? sizeText(point.x) : `${point.x}`).padEnd(9)} ${rows.map(rowText).join("   ")}`);
    }
    yield { name, title, x, unit, points };
    for (const { name: file } of Deno.readDirSync(folder.path)) await Deno.remove(folder.file(file));
  }
}

async function measurePoint(point: Point, folder: Scratch, { sync, runs }: Setting): Promise<Row[]> {
  const { from, to, source, flags, theirs } = point;
  const target = folder.file("target");
  const args = ["convert", "-t", sync, "-f", from, "-O", to, ...flags, source, target];
  const contenders = both(folder.path, args).map((one): Contender => {
    if (one.name !== "qemu-img" || !theirs) return one;
    return { ...one, name: `qemu-img ${theirs.join(" ")}`, args: ["convert", ...theirs, ...args.slice(1)] };
  }).filter(({ name }) => name !== "diskcast, ffi");
  const judge = () => qemuImgOk("compare", "-f", from, "-F", to, source, target);
  return await contend({ contenders, runs, target, judge });
}

function rowText(row: Row): string {
  const { wall, memory } = figuresOf(row);
  return `${row.name} ${wall.toFixed(2)} s, ${mebibytes(memory)}`;
}
