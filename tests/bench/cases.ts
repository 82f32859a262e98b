/**
 * The cases of the benchmark and their goals.
 *
 * @module
 */
import type { InputName } from "./inputs.ts";
import type { Goal } from "./results.ts";

/** One case: what is done with which inputs. */
export interface BenchCase {
  readonly name: string;
  readonly title: string;
  readonly inputs: readonly InputName[];
  /** For `convert`, the target's format and flags, the same for both programs. */
  readonly convert?: { readonly to: string; readonly flags: readonly string[] };
  /** A command that only reads, with these flags. */
  readonly reads?: { readonly command: string; readonly flags: readonly string[] };
  readonly goals: readonly Goal[];
  /** Without the C library it would read terabytes of holes. */
  readonly ffiOnly?: true;
  /** Whether qemu-img cannot do it. */
  readonly alone?: true;
  /** Other programs that do the same job. */
  readonly others?: readonly ("cp" | "nbdcopy")[];
}

const ratio = (most: number, against = "qemu-img", row = "diskcast"): Goal => ({ kind: "ratio", row, against, most });

/** `from` to `to`, plain. */
function plain(from: InputName, to: string, more: Partial<BenchCase> = {}): BenchCase {
  return {
    name: `${from}-${to}`,
    title: `${from} → ${to}`,
    inputs: [from],
    convert: { to, flags: [] },
    goals: [ratio(0.9)],
    ...more,
  };
}

const others = ["vmdk", "vdi", "vpc", "vhdx"] as const;

/** In the order of the table. */
export const cases: readonly BenchCase[] = [
  plain("raw", "raw", { others: ["cp", "nbdcopy"] }),
  plain("raw", "qcow2"),
  plain("qcow2", "raw", { others: ["nbdcopy"] }),
  plain("qcow2", "qcow2"),
  ...others.map((to) => plain("qcow2", to)),
  ...others.map((from) => plain(from, "raw")),
  {
    name: "raw-zlib",
    title: "raw → qcow2 -c, zlib",
    inputs: ["raw"],
    convert: { to: "qcow2", flags: ["-c"] },
    goals: [ratio(0.33), ratio(0.5, "qemu-img -W -m 16")],
  },
  {
    name: "raw-zstd",
    title: "raw → qcow2 -c, zstd",
    inputs: ["raw"],
    convert: { to: "qcow2", flags: ["-c", "-o", "compression_type=zstd"] },
    goals: [ratio(0.6)],
  },
  plain("zlib", "raw", { title: "qcow2 with zlib clusters → raw", goals: [ratio(0.5)] }),
  plain("zstd", "raw", { title: "qcow2 with zstd clusters → raw", goals: [ratio(0.8)] }),
  {
    name: "raw-stream",
    title: "raw → vmdk, streamOptimized",
    inputs: ["raw"],
    // Without -c both compress as well, but this says what is wanted.
    convert: { to: "vmdk", flags: ["-c", "-o", "subformat=streamOptimized"] },
    goals: [ratio(0.33)],
  },
  plain("stream", "raw", { title: "vmdk, streamOptimized → raw", goals: [ratio(0.5)] }),
  plain("chain", "qcow2", { title: "qcow2 with 8 overlays → qcow2" }),
  plain("small", "qcow2", {
    title: "qcow2 → qcow2, clusters of 1 KiB",
    convert: { to: "qcow2", flags: ["-o", "cluster_size=1k"] },
  }),
  plain("large", "qcow2", {
    title: "qcow2 → qcow2, clusters of 2 MiB",
    convert: { to: "qcow2", flags: ["-o", "cluster_size=2M"] },
  }),
  plain("sparse", "qcow2", {
    title: "raw of 4 TiB with 64 MiB of data → qcow2",
    ffiOnly: true,
    goals: [
      ratio(1.5, "qemu-img", "diskcast, ffi"),
      { kind: "seconds", row: "diskcast, ffi", most: 1 },
    ],
  }),
  plain("scattered", "qcow2", {
    title: "qcow2 of 16 TiB with scattered data → qcow2",
    goals: [ratio(1), { kind: "memory", row: "diskcast", most: 200e6 }],
  }),
  {
    name: "compare",
    title: "compare two equal qcow2 images",
    inputs: ["qcow2", "twin"],
    reads: { command: "compare", flags: ["-f", "qcow2", "-F", "qcow2"] },
    goals: [ratio(0.9)],
  },
  {
    name: "alternating",
    title: "compare qcow2, every other cluster zero, with a full raw file",
    inputs: ["alternating", "full"],
    reads: { command: "compare", flags: ["-f", "qcow2", "-F", "raw"] },
    goals: [ratio(2)],
  },
  plain("sectors", "raw", { title: "vpc, every other sector allocated → raw", goals: [] }),
  {
    name: "cowd-raw",
    title: "vmdk, COWD with 200,000 grains of one sector → raw",
    inputs: ["cowd"],
    convert: { to: "raw", flags: [] },
    // qemu-img refuses it.
    alone: true,
    goals: [{ kind: "seconds", row: "diskcast", most: 4 }],
  },
  {
    name: "check",
    title: "check a qcow2 image of 1 TiB, 20 GiB allocated",
    inputs: ["allocated"],
    reads: { command: "check", flags: ["-f", "qcow2"] },
    goals: [ratio(0.9)],
  },
];

/** The goal of the start-up case, which compares with an empty program. */
export const startUpGoals: readonly Goal[] = [
  { kind: "more", row: "diskcast info", against: "empty Deno program", most: 0.1 },
];
