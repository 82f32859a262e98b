/**
 * Creation options of a format: the values of `-o`, and the text of `-o help`. Pure.
 *
 * @module
 */
import { creationOptionsOf, type Format, type OptionSpec } from "../../mod.ts";
import { sizeText } from "../../tui/human.ts";
import { type ListItem, optionValues } from "./option_list.ts";

/** Creation options as given; those for backing file and size are set apart. */
export interface CreationOptions {
  readonly options: { readonly [name: string]: string };
  readonly backing: string | undefined;
  readonly backingFormat: string | undefined;
  readonly size: string | undefined;
}

/** Returns the items of `-o` as options of a format; `undefined`: of a format that is not yet probed. */
export function creationOptions(items: readonly ListItem[], format: Format | undefined): CreationOptions {
  const names = creationOptionsOf(format ?? { createOptions: [] }).map((spec) => spec.name);
  const { backing_file, backing_fmt, size, ...options } = optionValues(items, names);
  return { options, backing: backing_file, backingFormat: backing_fmt, size };
}

/** The options of every format with backing files, besides its own. */
const BACKING_OPTIONS: readonly OptionSpec[] = [
  { name: "backing_file", type: "file", help: "as -B" },
  { name: "backing_fmt", type: "text", help: "as -F" },
];

/** Returns the creation options of a format as `-o help` prints them. */
export function creationOptionsText(format: Format): string {
  const specs = [...creationOptionsOf(format), ...(format.has.overlays ? BACKING_OPTIONS : [])];
  return `Creation options of format "${format.name}":\n${optionLines(specs)}`;
}

/** Returns one line for each option: name, values, help and default. */
export function optionLines(specs: readonly OptionSpec[]): string {
  const rows = specs.map((spec) => [`  ${spec.name}=${valueText(spec)}`, helpText(spec)] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${left.padEnd(width)}  ${right}\n`).join("");
}

function valueText(spec: OptionSpec): string {
  if (spec.type === "flag") return "on|off";
  return spec.type === "choice" ? (spec.values ?? []).join("|") : `<${spec.type}>`;
}

function helpText(spec: OptionSpec): string {
  return spec.default === undefined ? spec.help : `${spec.help} (default: ${defaultText(spec.type, spec.default)})`;
}

function defaultText(type: OptionSpec["type"], value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return type === "size" && typeof value === "number" ? sizeText(value) : String(value);
}
