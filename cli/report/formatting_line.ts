/**
 * The line that `create` prints, as qemu-img words it: which options are shown, in which order, with which defaults. Pure.
 *
 * @module
 */
import { type Format, parseSize } from "../../mod.ts";

/** The options of a line in their order. Those with a default are always shown, the others where they were given. */
type Shown = readonly (readonly [name: string, fallback?: string])[];

const BACKING: Shown = [["backing_file"], ["backing_fmt"]];

/** Options of every file, which follow those of the format. */
const FILE: Shown = [["nocow"], ["preallocation"], ["extent_size_hint"]];

const LINES: { readonly [format: string]: Shown } = {
  raw: [["size"], ...FILE],
  qcow2: [
    ["cluster_size", "65536"],
    ["extended_l2", "off"],
    ["preallocation"],
    ["compression_type", "zlib"],
    ["size"],
    ["compat"],
    ...BACKING,
    ["data_file"],
    ["data_file_raw"],
    ["lazy_refcounts", "off"],
    ["refcount_bits", "16"],
    ...FILE,
  ],
  vmdk: [
    ["size"],
    ["adapter_type"],
    ...BACKING,
    ["compat6", "off"],
    ["hwversion", "undefined"],
    ["toolsversion"],
    ["subformat"],
    ["zeroed_grain"],
    ...FILE,
  ],
  vdi: [["size"], ["static", "off"], ...FILE],
  vpc: [["size"], ["subformat"], ["force_size"], ...FILE],
  vhdx: [["size"], ["log_size", "1048576"], ["block_size", "0"], ["subformat"], ["block_state_zero"], ...FILE],
};

/** The image of a line. */
export interface FormattedImage {
  /** As given. */
  readonly path: string;
  readonly format: Format;
  /** Guest bytes that were asked for. */
  readonly size: number;
  readonly backing?: { readonly path: string; readonly format?: string | undefined } | undefined;
  /** Options of `-o` as given. */
  readonly options: { readonly [name: string]: string | number | boolean };
}

/**
 * Returns the line, without its end.
 *
 * @example
 * ```ts
 * import { formattingLine } from "./formatting_line.ts";
 * import { allFormats } from "../../mod.ts";
 * import assert from "node:assert/strict";
 *
 * const format = allFormats.find(({ name }) => name === "vdi")!;
 * const line = formattingLine({ path: "a.vdi", format, size: 1 << 20, options: {} });
 * assert.equal(line, "Formatting 'a.vdi', fmt=vdi size=1048576 static=off");
 * ```
 */
export function formattingLine({ path, format, size, backing, options }: FormattedImage): string {
  const given: { readonly [name: string]: string | undefined } = {
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, shown(format, name, value)])),
    size: `${size}`,
    backing_file: backing?.path,
    backing_fmt: backing?.format,
  };
  const known = LINES[format.name] ?? [["size"], ...FILE];
  const names = new Set(known.map(([name]) => name));
  const shownOptions = [
    ...known,
    // Options that qemu-img lacks.
    ...format.createOptions.filter(({ name }) => !names.has(name)).map(({ name }) => [name] as const),
  ].filter(([name], index, all) => all.findIndex(([other]) => other === name) === index);
  const values = shownOptions.flatMap(([name, fallback]) => {
    const value = given[name] ?? fallback;
    return value === undefined ? [] : [`${name}=${value.replaceAll(",", ",,")}`];
  });
  return `Formatting '${path}', fmt=${format.name} ${values.join(" ")}`;
}

/** Returns a value as it was given; sizes in bytes. */
function shown({ createOptions }: Format, name: string, value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  const isSize = name === "extent_size_hint" || createOptions.find((spec) => spec.name === name)?.type === "size";
  return isSize && typeof value === "string" ? `${parseSize(value, name)}` : `${value}`;
}
