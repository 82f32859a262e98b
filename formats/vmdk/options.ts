/**
 * The options of new images: their specification for the command line, their values, and the rules between them.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { CreatePlan } from "../contract.ts";
import type { OptionSpec } from "../options.ts";
import { ImageError } from "../errors.ts";

/** The subformats that are written. */
export const SUBFORMATS = [
  "monolithicSparse",
  "monolithicFlat",
  "twoGbMaxExtentSparse",
  "twoGbMaxExtentFlat",
  "streamOptimized",
] as const;
/** One of {@linkcode SUBFORMATS}. */
export type Subformat = typeof SUBFORMATS[number];

/** The largest disk: 62 TiB, the limit of ESXi. */
export const MAX_SIZE = 62 * 2 ** 40;

/** The largest split disk: 8 TiB, the limit of Workstation, which is over 4000 extent files. */
export const MAX_SPLIT_SIZE = 8 * 2 ** 40;

/** The options that `-o` takes. */
export const CREATE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "subformat",
    type: "choice",
    help: "one growing file, one or several full files, several growing files, or one compressed stream for OVF",
    values: SUBFORMATS,
    default: "monolithicSparse",
  },
  {
    name: "adapter_type",
    type: "choice",
    help: "controller that the disk is made for",
    values: ["ide", "lsilogic", "buslogic", "legacyESX"],
    default: "ide",
  },
  { name: "hwversion", type: "number", help: "virtual hardware version (default 4)", min: 1, max: 99 },
  { name: "compat6", type: "flag", help: "virtual hardware version 6; the same as hwversion=6", default: false },
  {
    name: "toolsversion",
    type: "number",
    help: "version of VMware Tools that the disk claims; the default says it is not known",
    min: 0,
    max: 2147483647,
    default: 2147483647,
  },
  {
    name: "zeroed_grain",
    type: "flag",
    help: "state zeroes in the tables instead of storing them over a backing file (growing subformats)",
    default: false,
  },
];

/** The options of a plan, with defaults for absent ones. */
export interface Settings {
  readonly subformat: Subformat;
  readonly adapterType: string;
  readonly hardwareVersion: number;
  readonly toolsVersion: number;
  readonly zeroedGrains: boolean;
  /** Guest bytes, rounded up to whole sectors. */
  readonly size: number;
}

/** Returns the settings of a plan; {@linkcode checkPlan} checks their combination. */
export function settingsOf({ options, size }: CreatePlan): Settings {
  const hardware = options["compat6"] === true ? 6 : options["hwversion"];
  const tools = options["toolsversion"];
  return {
    subformat: SUBFORMATS.find((name) => name === options["subformat"]) ?? "monolithicSparse",
    adapterType: String(options["adapter_type"] ?? "ide"),
    hardwareVersion: typeof hardware === "number" ? hardware : 4,
    toolsVersion: typeof tools === "number" ? tools : 2147483647,
    zeroedGrains: options["zeroed_grain"] === true,
    size: alignUp(size, SECTOR),
  };
}

/** Throws `usage` for options that exclude each other, and for a size or backing file that the subformat excludes. */
export function checkPlan(plan: CreatePlan): void {
  const { subformat, zeroedGrains, size } = settingsOf(plan);
  const flat = subformat === "monolithicFlat" || subformat === "twoGbMaxExtentFlat";
  const split = subformat === "twoGbMaxExtentSparse" || subformat === "twoGbMaxExtentFlat";
  if (plan.options["compat6"] === true && plan.options["hwversion"] !== undefined) {
    throw usage("Cannot use hwversion and compat6 together: compat6 is hwversion=6, leave one out");
  }
  if (zeroedGrains && flat) {
    throw usage(`Cannot use zeroed_grain with subformat=${subformat}: it has no grains, leave it out`);
  }
  if (plan.compress && subformat !== "streamOptimized") {
    throw usage(
      `Cannot compress vmdk with subformat=${subformat}: use -o subformat=streamOptimized, or leave out -c`,
    );
  }
  const most = split ? MAX_SPLIT_SIZE : MAX_SIZE;
  if (size > most) {
    const message = `Cannot create a vmdk of ${size} bytes with subformat=${subformat}: it may have at most ${most} ` +
      `(${most / 2 ** 40} TiB)`;
    throw usage(message);
  }
  if (plan.backing) checkBacking(plan.backing, flat ? subformat : null);
}

function checkBacking(backing: NonNullable<CreatePlan["backing"]>, flat: Subformat | null): void {
  if (flat !== null) {
    throw usage(`Cannot use a backing file with subformat=${flat}: its files hold every byte, leave out -B`);
  }
  if (backing.format !== undefined && backing.format !== "vmdk") {
    throw usage(`Cannot use "${backing.name}" as the backing file of a vmdk: it is ${backing.format}, must be vmdk`);
  }
  // deno-lint-ignore no-control-regex
  if (/["\x00-\x1f]/.test(backing.name)) {
    throw usage(`Cannot name the backing file ${JSON.stringify(backing.name)} in a descriptor: leave quotes out of it`);
  }
}

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}
