/**
 * Options for creating an image and for amending one, and the settings of a new image.
 *
 * @module
 */
import type { CreatePlan } from "../contract.ts";
import type { Preallocation } from "../maintenance.ts";
import type { OptionSpec } from "../options.ts";
import type { CompressionType } from "./header/types.ts";

/** The `createOptions` of the format. */
export const CREATE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "compat",
    type: "choice",
    help: "version of the format: 1.1 (v3), or 0.10 (v2) for programs before 2012",
    values: ["0.10", "1.1", "v2", "v3"],
    default: "1.1",
  },
  {
    name: "cluster_size",
    type: "size",
    help: "bytes that are allocated at once; a power of two",
    default: 65536,
    min: 512,
    max: 2 << 20,
  },
  {
    name: "preallocation",
    type: "choice",
    help: "what to allocate beforehand: nothing, all tables, or also space on the host, reserved or written",
    values: ["off", "metadata", "falloc", "full"],
    default: "off",
  },
  { name: "lazy_refcounts", type: "flag", help: "let programs put off refcount updates (v3)", default: false },
  {
    name: "refcount_bits",
    type: "number",
    help: "bits of a refcount: 1, 2, 4, 8, 16, 32 or 64; v2 has 16",
    default: 16,
    min: 1,
    max: 64,
  },
  {
    name: "compression_type",
    type: "choice",
    help: "how compressed clusters are compressed; zstd needs v3 and QEMU 5.1",
    values: ["zlib", "zstd"],
    default: "zlib",
  },
  {
    name: "extended_l2",
    type: "flag",
    help: "allocate 32nds of clusters (v3, clusters of 16 KiB and more, QEMU 5.2)",
    default: false,
  },
  { name: "data_file", type: "file", help: "keep guest data in this raw file (v3)" },
  { name: "data_file_raw", type: "flag", help: "keep the data file a raw image by itself", default: false },
];

/** The `amendOptions` of the format: those that an existing image can change. */
export const AMEND_OPTIONS: readonly OptionSpec[] = [
  {
    name: "compat",
    type: "choice",
    help: "version of the format: 1.1 (v3), or 0.10 (v2) for programs before 2012",
    values: ["0.10", "1.1", "v2", "v3"],
  },
  { name: "backing_file", type: "text", help: "name of the backing file; nothing is compared (rebase does that)" },
  { name: "backing_fmt", type: "text", help: "format of the backing file" },
  { name: "lazy_refcounts", type: "flag", help: "let programs put off refcount updates (v3)" },
  { name: "refcount_bits", type: "number", help: "bits of a refcount: 1, 2, 4, 8, 16, 32 or 64", min: 1, max: 64 },
  { name: "size", type: "size", help: "size of the disk; it may only grow, see resize" },
  { name: "data_file", type: "text", help: "another name of the data file, where the image has one" },
  { name: "data_file_raw", type: "flag", help: "off: the data file need not be a raw image by itself any longer" },
];

/** The options of a plan with all defaults filled in. */
export interface CreateSettings {
  readonly version: 2 | 3;
  readonly clusterSize: number;
  readonly preallocation: Preallocation;
  readonly lazyRefcounts: boolean;
  readonly refcountBits: number;
  readonly compressionType: CompressionType;
  readonly extendedL2: boolean;
  readonly dataFile: string | null;
  readonly dataFileRaw: boolean;
}

/** Returns the settings of `plan`, not checked against one another. */
export function settingsOf({ options }: CreatePlan): CreateSettings {
  const compat = options.compat ?? "1.1";
  const dataFileRaw = options.data_file_raw === true;
  const preallocation = preallocationOf(options.preallocation);
  return {
    version: compat === "0.10" || compat === "v2" ? 2 : 3,
    clusterSize: numberOf(options.cluster_size, 65536),
    // A raw data file holds each guest cluster at its guest offset, so every cluster is allocated from the start.
    preallocation: dataFileRaw && preallocation === "off" ? "metadata" : preallocation,
    lazyRefcounts: options.lazy_refcounts === true,
    refcountBits: numberOf(options.refcount_bits, 16),
    compressionType: options.compression_type === "zstd" ? "zstd" : "zlib",
    extendedL2: options.extended_l2 === true,
    dataFile: typeof options.data_file === "string" && options.data_file !== "" ? options.data_file : null,
    dataFileRaw,
  };
}

function numberOf(value: string | number | boolean | undefined, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}

function preallocationOf(value: string | number | boolean | undefined): Preallocation {
  return value === "metadata" || value === "falloc" || value === "full" ? value : "off";
}
