/**
 * How cost grows: the same conversion with more data, a larger disk, more workers, other clusters.
 *
 * @module
 */
import { qemuImgOk, rng, type Scratch } from "../support/qemu.ts";
import { both, contend, type Contender } from "./contend.ts";
import { makeRaw, makeScattered } from "./images.ts";
import { lackOfSpace } from "./space.ts";
import { figuresOf, mebibytes, type Row, type Series, type Setting, sizeText } from "./results.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** One conversion of a series. */
interface Point {
  readonly x: number;
  /** Bytes that source and target take on the host, roughly. */
  readonly bytes: number;
  readonly from: string;
  readonly to: string;
  readonly flags: readonly string[];
  /** For qemu-img alone. */
  readonly theirs?: readonly string[];
  make(source: string): Promise<unknown>;
}

interface Growth extends Omit<Series, "points" | "skipped"> {
  points(setting: Setting): Point[];
}

const growths: readonly Growth[] = [
  {
    name: "data",
    title: "raw → qcow2, disks half full",
    x: "data",
    unit: "bytes",
    points: ({ size, seed }) =>
      [32, 16, 8, 4, 2, 1].map((part) => ({
        x: size / part / 2,
        bytes: size / part,
        from: "raw",
        to: "qcow2",
        flags: [],
        make: (source) => makeRaw(source, size / part, rng(seed)),
      })),
  },
  {
    name: "virtual",
    title: "qcow2 → qcow2, the same data in an ever larger disk",
    x: "virtual size",
    unit: "bytes",
    points({ size, seed }) {
      const data = Math.max(16 * MIB, size / 256);
      return [1, 16, 256, 1024, 4096, 16_384].map((gibibytes) => ({
        x: gibibytes * GIB,
        bytes: 4 * data,
        from: "qcow2",
        to: "qcow2",
        flags: [],
        make: (source) => makeScattered(source, gibibytes * GIB, data, rng(seed)),
      }));
    },
  },
  {
    name: "workers",
    title: "raw → qcow2 -c, zlib",
    x: "workers (-m)",
    unit: "number",
    points({ size, seed }) {
      const length = Math.max(128 * MIB, size / 32);
      return [1, 2, 4, 8, 16].map((x) => ({
        x,
        bytes: length,
        from: "raw",
        to: "qcow2",
        flags: ["-c", "-m", `${x}`],
        // Only with -W does qemu-img compress more than one cluster at a time.
        theirs: ["-W"],
        make: (source) => makeRaw(source, length, rng(seed)),
      }));
    },
  },
  {
    name: "cluster",
    title: "qcow2 → qcow2, both with clusters of one size",
    x: "cluster size",
    unit: "bytes",
    points({ size, seed }) {
      const length = Math.max(256 * MIB, size / 8);
      return [512, 1024, 4096, 16_384, 65_536, 262_144, 2 * MIB].map((x) => {
        const flags = ["-o", `cluster_size=${x}`];
        return { x, bytes: 2 * length, from: "qcow2", to: "qcow2", flags, make: (source) => clustered(source, flags) };

        async function clustered(source: string, flags: readonly string[]): Promise<void> {
          await makeRaw(`${source}.raw`, length, rng(seed));
          await qemuImgOk("convert", "-f", "raw", "-O", "qcow2", ...flags, `${source}.raw`, source);
          await Deno.remove(`${source}.raw`);
        }
      });
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
    const skipped: string[] = [];
    const source = folder.file("source");
    say(`\n${name}: ${title}`);
    for (const point of growth.points(setting)) {
      const text = unit === "bytes" ? sizeText(point.x) : `${point.x}`;
      const lacking = lackOfSpace(folder.path, point.bytes);
      if (lacking) {
        skipped.push(`${text}: ${lacking}`);
        say(`  ${text} skipped: ${lacking}`);
        continue;
      }
      await point.make(source);
      const rows = await measurePoint(point, source, folder, setting);
      await Deno.remove(source);
      points.push({ x: point.x, rows });
      say(`  ${text.padEnd(9)} ${rows.map(rowText).join("   ")}`);
    }
    yield { name, title, x, unit, points, ...(skipped.length > 0 && { skipped }) };
  }
}

async function measurePoint(
  { from, to, flags, theirs }: Point,
  source: string,
  folder: Scratch,
  { sync, runs }: Setting,
): Promise<Row[]> {
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
