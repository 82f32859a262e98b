/**
 * Recipes of destinations: choosing one, its size rule, and the commands that the user types next. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Format, SizeRule } from "../../mod.ts";
import { sizeText } from "../../tui/human.ts";
import { nearest, usageError } from "../args/usage.ts";
import { shellWord } from "../permissions.ts";
import { type Preset, presets, type Recipe } from "./table.ts";

/**
 * Returns the destination with the given name.
 *
 * @throws ImageError `usage`, with a suggestion, where there is none
 */
export function presetNamed(name: string): Preset {
  const preset = presets.find((one) => one.name === name);
  if (preset !== undefined) return preset;
  const names = presets.map((one) => one.name);
  const near = nearest(name.toLowerCase(), names);
  const suggestion = near === undefined ? "" : `; did you mean "${near}"?`;
  throw usageError(`Unknown destination "${name}" in --for: it must be ${names.join(", ")}${suggestion}`);
}

/** Returns why this program cannot write by `recipe`; `null` where it can. */
export function recipeProblem(recipe: Recipe, formats: readonly Format[]): string | null {
  const format = formats.find((one) => one.name === recipe.format);
  if (format?.create === undefined) return `${recipe.format} cannot be written yet`;
  for (const [name, value] of Object.entries(recipe.options)) {
    const spec = format.createOptions.find((one) => one.name === name);
    const isKnown = spec !== undefined && (spec.type !== "choice" || spec.values?.includes(value));
    if (!isKnown) return `${recipe.format} cannot be written with ${name}=${value} yet`;
  }
  return null;
}

/** Returns the recipes that this program can write. */
export function writableRecipes(preset: Preset, formats: readonly Format[]): readonly Recipe[] {
  return preset.recipes.filter((recipe) => recipeProblem(recipe, formats) === null);
}

/**
 * Returns the recipe for a destination: the best one, or the best one of the given format.
 *
 * @throws ImageError `usage` for a format that the destination does not take, `unsupported` where none can be written
 */
export function recipeFor(preset: Preset, formats: readonly Format[], format?: string): Recipe {
  const candidates = preset.recipes.filter((recipe) => format === undefined || recipe.format === format);
  if (candidates.length === 0) {
    const names = [...new Set(preset.recipes.map((recipe) => recipe.format))].join(", ");
    throw usageError(`Cannot use -O ${format} with --for ${preset.name}: it takes ${names}`);
  }
  const writable = candidates.find((recipe) => recipeProblem(recipe, formats) === null);
  if (writable !== undefined) return writable;
  const problems = [...new Set(candidates.map((recipe) => recipeProblem(recipe, formats)))].join("; ");
  throw new ImageError("unsupported", `Cannot write for ${preset.title}: ${problems}`);
}

/** Returns the size rule of the destination with the limit of the recipe. */
export function sizeRuleOf(preset: Preset, recipe: Recipe): SizeRule {
  const limits = [preset.size.most, recipe.most].filter((most) => most !== undefined);
  return { ...preset.size, ...(limits.length > 0 && { most: Math.min(...limits) }) };
}

/** Formats a recipe as `convert` takes it: `vpc, subformat=fixed`. */
export function recipeText(recipe: Recipe): string {
  return [recipe.format, ...Object.entries(recipe.options).map(([name, value]) => `${name}=${value}`)].join(", ");
}

/** Formats the limits of the disk size, of the recipe that takes the largest disk; empty where there are none. */
export function sizeRuleText(preset: Preset): string {
  const { multipleOf = 1, least } = preset.size;
  const largest = Math.max(...preset.recipes.map((recipe) => sizeRuleOf(preset, recipe).most ?? Infinity));
  const most = largest === Infinity ? undefined : largest;
  return [
    ...(multipleOf > 512 ? [`whole ${sizeText(multipleOf)}`] : []),
    ...(least === undefined ? [] : [`at least ${sizeText(least)}`]),
    ...(most === undefined ? [] : [`at most ${sizeText(most)}`]),
  ].join(", ");
}

/** The properties of a finished file that the commands of a destination contain. */
export interface CommandFile {
  readonly path: string;
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
}

/** Returns the commands to type at the destination, with the names of the file filled in. */
export function nextCommands(preset: Preset, file: CommandFile, windows: boolean): string[] {
  const cut = Math.max(file.path.lastIndexOf("/"), windows ? file.path.lastIndexOf("\\") : -1);
  const name = file.path.slice(cut + 1);
  const quoted = (text: string) => shellWord(text, windows);
  const values: { readonly [name: string]: string } = {
    file: quoted(file.path),
    folder: quoted(cut < 0 ? "." : file.path.slice(0, Math.max(1, cut))),
    name: quoted(name),
    stem: quoted(name.replace(/\.[^.]*$/, "") || name),
    format: file.format === "vpc" ? "vhd" : file.format,
    bytes: String(file.size),
  };
  return preset.next.map((line) => line.replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all));
}
