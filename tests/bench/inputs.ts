/**
 * The inputs of the cases: each is made when first asked for, and kept as long as a later case wants it.
 *
 * @module
 */
import { qemuImgOk, type Rng, rng, type Scratch } from "../support/qemu.ts";
import { makeAllocated, makeChain, makeRaw, makeScattered, makeSparseRaw } from "./images.ts";
import { makeAlternating, makeCowd, makeFull, makeSectors } from "./small_extents.ts";

const TIB = 2 ** 40;

/** How large the inputs are. */
export interface Sizes {
  /** Guest bytes of the usual disk, half of them data. */
  readonly size: number;
  /** Data bytes of the scattered disk. */
  readonly scattered: number;
  readonly seed: number;
}

interface Recipe {
  readonly format: string;
  /** What it is made from. */
  readonly from?: InputName;
  /** Bytes that it takes on the host, roughly. */
  readonly bytes: (sizes: Sizes) => number;
  make(path: string, sizes: Sizes, random: Rng, from: string): Promise<unknown>;
}

const data = ({ size }: Sizes) => size / 2;

/** Made of the raw disk by qemu-img. */
function converted(format: string, flags: readonly string[] = []): Recipe {
  const make = (path: string, _sizes: Sizes, _random: Rng, from: string) =>
    qemuImgOk("convert", "-f", "raw", "-O", format, ...flags, from, path);
  return { format, from: "raw", bytes: data, make };
}

/** Made of the raw disk without holes. */
function alternating(): Recipe {
  const make = (path: string, _sizes: Sizes, _random: Rng, from: string) => makeAlternating(path, from);
  return { format: "qcow2", from: "full", bytes: ({ size }) => size / 4, make };
}

const compressed = ["-c", "-W", "-m", "16"];

const recipes = {
  raw: { format: "raw", bytes: data, make: (path, { size }, random) => makeRaw(path, size, random) },
  qcow2: converted("qcow2"),
  /** As the one above, byte for byte. */
  twin: converted("qcow2"),
  vmdk: converted("vmdk"),
  vdi: converted("vdi"),
  vpc: converted("vpc"),
  vhdx: converted("vhdx"),
  zlib: converted("qcow2", compressed),
  zstd: converted("qcow2", [...compressed, "-o", "compression_type=zstd"]),
  stream: converted("vmdk", ["-o", "subformat=streamOptimized"]),
  small: converted("qcow2", ["-o", "cluster_size=1k"]),
  large: converted("qcow2", ["-o", "cluster_size=2M"]),
  chain: {
    format: "qcow2",
    bytes: data,
    // The base and eight overlays.
    make: (path, { size }, random) => makeChain(path, size, 9, random),
  },
  sparse: {
    format: "raw",
    bytes: () => 64 << 20,
    make: (path, _sizes, random) => makeSparseRaw(path, 4 * TIB, 64 << 20, random),
  },
  scattered: {
    format: "qcow2",
    // Nearly every piece needs an L2 table of its own.
    bytes: ({ scattered }) => 2 * scattered,
    make: (path, { scattered }, random) => makeScattered(path, 16 * TIB, scattered, random),
  },
  /** The guest bytes of "alternating", without a hole. */
  full: { format: "raw", bytes: ({ size }) => size / 2, make: (path, { size }) => makeFull(path, size / 2) },
  alternating: alternating(),
  sectors: { format: "vpc", bytes: () => 256 << 20, make: (path, _sizes, random) => makeSectors(path, random) },
  cowd: { format: "vmdk", bytes: () => 100 << 20, make: (path) => makeCowd(path, 200_000) },
  allocated: { format: "qcow2", bytes: () => 200 << 20, make: (path) => makeAllocated(path) },
  tiny: {
    format: "qcow2",
    bytes: () => 1 << 20,
    make: (path) => qemuImgOk("create", "-q", "-f", "qcow2", path, "64M"),
  },
} as const satisfies Record<string, Recipe>;

/** Name of an input. */
export type InputName = keyof typeof recipes;

/** The format of an input. */
export function formatOf(name: InputName): string {
  return recipes[name].format;
}

/** The inputs of one run of the benchmark. */
export interface Inputs {
  /** The path of an input. */
  get(name: InputName): Promise<string>;
  /** Bytes that making what is missing of these would take. */
  missing(names: readonly InputName[]): number;
  /** Removes all but these, and what these are made from. */
  keep(names: readonly InputName[]): Promise<void>;
}

/** Inputs in this folder. */
export function inputsIn(folder: Scratch, sizes: Sizes): Inputs {
  const made = new Map<InputName, string>();
  async function get(name: InputName): Promise<string> {
    const known = made.get(name);
    if (known !== undefined) return known;
    const recipe: Recipe = recipes[name];
    const from = recipe.from ? await get(recipe.from) : "";
    const path = folder.file(`${name}.${recipe.format}`);
    // Each from its own seed, whatever was made before.
    const random = rng(sizes.seed * 1000 + Object.keys(recipes).indexOf(name));
    await recipe.make(path, sizes, random, from);
    made.set(name, path);
    return path;
  }
  return {
    get,
    missing(names) {
      const wanted = withOrigins(names).filter((name) => !made.has(name));
      return wanted.reduce((sum, name) => sum + recipes[name].bytes(sizes), 0);
    },
    async keep(names) {
      const kept = withOrigins(names);
      for (const [name, path] of made) {
        if (kept.includes(name)) continue;
        made.delete(name);
        // With the overlays of a chain.
        for (const { name: file } of Deno.readDirSync(folder.path)) {
          if (folder.file(file).startsWith(path)) await Deno.remove(folder.file(file));
        }
      }
    },
  };
}

function withOrigins(names: readonly InputName[]): InputName[] {
  const recipeOf = (name: InputName): Recipe => recipes[name];
  return [...new Set(names.flatMap((name) => [name, ...(recipeOf(name).from ? [recipeOf(name).from!] : [])]))];
}
