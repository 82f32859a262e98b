/**
 * What a destination means for a job: which ways there are to write it, which one is taken, what to type next. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Format, SizeRule } from "../../mod.ts";
import { nearest } from "../args/usage.ts";
import { type Preset, presets, type Recipe } from "./table.ts";
import { shellWord } from "../permissions.ts";

/** The destination called `name`. Throws `usage`, with a suggestion, where there is none. */
export function presetNamed(name: string, all: readonly Preset[] = presets): Preset {
  const preset = all.find((one) => one.name === name);
  if (preset !== undefined) return preset;
  const names = all.map((one) => one.name);
  const near = nearest(name.toLowerCase(), names);
  const suggestion = near === undefined ? "" : `; did you mean "${near}"?`;
  const message = `Unknown destination "${name}" in --for: it must be ${names.join(", ")}${suggestion}`;
  throw new ImageError("usage", message);
}

/** Why this program cannot write by `recipe` yet; `null` where it can. */
export function lackOf(recipe: Recipe, formats: readonly Format[]): string | null {
  const format = formats.find((one) => one.name === recipe.format);
  if (format?.create === undefined) return `${recipe.format} cannot be written yet`;
  for (const [name, value] of Object.entries(recipe.options)) {
    const spec = format.createOptions.find((one) => one.name === name);
    const known = spec !== undefined && (spec.type !== "choice" || spec.values?.includes(value));
    if (!known) return `${recipe.format} cannot be written with ${name}=${value} yet`;
  }
  return null;
}

/** The ways that this program can write. */
export function recipesOf(preset: Preset, formats: readonly Format[]): readonly Recipe[] {
  return preset.recipes.filter((recipe) => lackOf(recipe, formats) === null);
}

/**
 * The way to write for a destination: its best, or that of the format that the user names.
 *
 * @throws ImageError `usage` for a format that the destination does not take, `unsupported` where none can be written
 */
export function recipeFor(preset: Preset, formats: readonly Format[], format?: string): Recipe {
  const wanted = preset.recipes.filter((recipe) => format === undefined || recipe.format === format);
  if (wanted.length === 0) {
    const names = [...new Set(preset.recipes.map((recipe) => recipe.format))].join(", ");
    throw new ImageError("usage", `Cannot use -O ${format} with --for ${preset.name}: it takes ${names}`);
  }
  const possible = wanted.find((recipe) => lackOf(recipe, formats) === null);
  if (possible !== undefined) return possible;
  const lacks = [...new Set(wanted.map((recipe) => lackOf(recipe, formats)))].join("; ");
  throw new ImageError("unsupported", `Cannot write for ${preset.title}: ${lacks}`);
}

/** How large the disk is to be by both, the destination and the way to write. */
export function sizeRuleOf(preset: Preset, recipe: Recipe): SizeRule {
  const limits = [preset.size.most, recipe.most].filter((most) => most !== undefined);
  return { ...preset.size, ...(limits.length > 0 && { most: Math.min(...limits) }) };
}

/** The finished file, as the commands of the destination name it. */
export interface FinishedName {
  readonly path: string;
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
}

/** What to type at the destination. Pure. */
export function nextCommands(preset: Preset, file: FinishedName, windows: boolean): string[] {
  const cut = Math.max(file.path.lastIndexOf("/"), windows ? file.path.lastIndexOf("\\") : -1);
  const name = file.path.slice(cut + 1);
  const word = (text: string) => shellWord(text, windows);
  const values: { readonly [name: string]: string } = {
    file: word(file.path),
    folder: word(cut < 0 ? "." : file.path.slice(0, Math.max(1, cut))),
    name: word(name),
    stem: word(name.replace(/\.[^.]*$/, "") || name),
    format: file.format === "vpc" ? "vhd" : file.format,
    bytes: String(file.size),
  };
  return preset.next.map((line) => line.replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all));
}
