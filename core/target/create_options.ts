/**
 * Parses creation options by the option table of a format. Pure.
 *
 * @module
 */
import { type Format, ImageError, type OptionSpec, type OptionValues } from "../../formats/mod.ts";
import { parseFlag, parseNumber, parseSize } from "../values.ts";

/**
 * Returns the parsed options of `format`.
 *
 * @throws ImageError `usage` for an unknown name or a value out of its limits
 *
 * @example
 * ```ts
 * import { createOptions } from "./create_options.ts";
 * import assert from "node:assert/strict";
 *
 * const specs = [{ name: "cluster_size", type: "size", help: "Bytes of a cluster" }] as const;
 * assert.deepEqual(createOptions("x", specs, { cluster_size: "64k" }), { cluster_size: 65536 });
 * assert.throws(() => createOptions("x", specs, { colour: "red" }), { kind: "usage" });
 * ```
 */
export function createOptions(
  format: Format["name"],
  specs: readonly OptionSpec[],
  given: { readonly [name: string]: string | number | boolean },
): OptionValues {
  const entries = Object.entries(given).map(([name, value]) => {
    const spec = specs.find((candidate) => candidate.name === name);
    if (!spec) throw new ImageError("usage", unknownOption(format, specs, name));
    return [name, valueOf(spec, value)] as const;
  });
  return Object.fromEntries(entries);
}

function unknownOption(format: string, specs: readonly OptionSpec[], name: string): string {
  const known = specs.length === 0 ? "it has none" : `it has ${specs.map((spec) => spec.name).join(", ")}`;
  if (name === "size") return `Cannot set the option "size": the size of the target is the size of its source`;
  return `Cannot set the option "${name}": ${format} has no such option; ${known}`;
}

function valueOf(spec: OptionSpec, value: string | number | boolean): string | number | boolean {
  const what = `option "${spec.name}"`;
  switch (spec.type) {
    case "flag":
      return typeof value === "boolean" ? value : parseFlag(String(value), what);
    case "size":
      return withinLimits(spec, typeof value === "number" ? value : parseSize(String(value), what));
    case "number":
      return parseNumber(String(value), what, spec.min ?? 0, spec.max ?? Number.MAX_SAFE_INTEGER);
    case "choice":
      return oneOf(spec, String(value));
    case "text":
    case "file":
      return String(value);
  }
}

function withinLimits(spec: OptionSpec, value: number): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = spec;
  if (value >= min && value <= max) return value;
  throw new ImageError("usage", `Cannot use ${value} for option "${spec.name}": it must be from ${min} to ${max}`);
}

function oneOf(spec: OptionSpec, value: string): string {
  if (spec.values?.includes(value)) return value;
  const message = `Cannot use "${value}" for option "${spec.name}": it must be one of ${spec.values?.join(", ")}`;
  throw new ImageError("usage", message);
}
