/**
 * The effect of `--for` on the other arguments. Pure.
 *
 * @module
 */
import type { Format, SizeRule } from "../../mod.ts";
import type { ConvertFlags } from "./convert_flags.ts";
import { asksForHelp, type ListItem } from "./option_list.ts";
import { usageError } from "./usage.ts";
import type { Destination } from "../destinations/check.ts";
import { presetNamed, recipeFor, sizeRuleOf } from "../destinations/recipes.ts";
import type { Preset, Recipe } from "../destinations/table.ts";

/** The arguments with those that the destination adds, and the rule for the guest size that follows from both. */
export interface WithDestination {
  readonly flags: ConvertFlags;
  readonly destination?: Destination;
  readonly guestSize?: SizeRule;
}

/**
 * Adds format, options and size rule of the destination `name`, the value of `--for`.
 *
 * @throws ImageError `usage` for an argument that contradicts the destination
 */
export function withDestination(flags: ConvertFlags, name: string, formats: readonly Format[]): WithDestination {
  const preset = presetNamed(name);
  if (!flags.create) throw conflict(preset, "-n", "the file is always a new one");
  if (flags.targetImageOpts) throw conflict(preset, "--target-image-opts", "the file is always a new one");
  if (flags.backing !== undefined && !preset.asks.includes("backing")) {
    throw conflict(preset, "-B", "the file must stand alone there");
  }
  const recipe = recipeFor(preset, formats, flags.targetFormat);
  return {
    flags: { ...flags, targetFormat: recipe.format, creation: withRecipe(preset, recipe, flags.creation) },
    destination: { preset, recipe },
    guestSize: rounded(sizeRuleOf(preset, recipe), flags.round, preset),
  };
}

/** Combines the size rule of the destination with `--round`; one must be a multiple of the other. */
function rounded(rule: SizeRule, round: number | undefined, preset: Preset): SizeRule {
  if (round === undefined) return rule;
  const { multipleOf = 1 } = rule;
  const larger = Math.max(round, multipleOf);
  if (larger % Math.min(round, multipleOf) === 0) return { ...rule, multipleOf: larger };
  throw conflict(preset, `--round=${round}`, `the disk must be a multiple of ${multipleOf} bytes`);
}

function conflict(preset: Preset, option: string, reason: string): Error {
  return usageError(`Cannot use ${option} with --for ${preset.name}: ${reason}`);
}

/**
 * Puts the options of the recipe before those given; only the adapter may differ, where the destination asks for it.
 */
function withRecipe(preset: Preset, recipe: Recipe, given: readonly ListItem[]): readonly ListItem[] {
  if (asksForHelp(given)) return given;
  const free = preset.asks.includes("adapter") ? ["adapter_type"] : [];
  for (const { key, value } of given) {
    const fixed = recipe.options[key];
    if (fixed !== undefined && fixed !== value && !free.includes(key)) {
      throw conflict(preset, `-o ${key}=${value}`, `it takes ${key}=${fixed}`);
    }
  }
  return [...Object.entries(recipe.options).map(([key, value]) => ({ key, value })), ...given];
}

/**
 * Checks that the file has the name that the destination requires.
 *
 * @throws ImageError `usage`
 */
export function checkFileName({ preset, recipe }: Destination, path: string): void {
  const name = path.replace(/^.*[/\\]/, "");
  if (recipe.fileName === undefined || name === recipe.fileName) return;
  throw usageError(`Cannot write "${path}" for ${preset.title}: the file must be called "${recipe.fileName}"`, path);
}
