/**
 * What `--for` means for the other arguments. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Format, SizeRule } from "../../mod.ts";
import type { ConvertFlags } from "./convert_flags.ts";
import { presetNamed, recipeFor, sizeRuleOf } from "../destinations/recipes.ts";
import type { Destination } from "../destinations/check.ts";
import type { Preset, Recipe } from "../destinations/table.ts";
import { asksForHelp, type ListItem } from "./option_list.ts";

/** The arguments with what the destination adds to them, and how long the disk is to be by both. */
export interface WithDestination {
  readonly flags: ConvertFlags;
  readonly destination?: Destination;
  readonly guestSize?: SizeRule;
}

/**
 * Adds format, options and size of the destination `name`, that of `--for`.
 *
 * @throws ImageError `usage` for an argument that contradicts it
 */
export function withDestination(flags: ConvertFlags, name: string, formats: readonly Format[]): WithDestination {
  const preset = presetNamed(name);
  if (!flags.create) throw clash(preset, "-n", "the file is always a new one");
  if (flags.targetImageOpts) throw clash(preset, "--target-image-opts", "the file is always a new one");
  if (flags.backing !== undefined && !preset.asks.includes("backing")) {
    throw clash(preset, "-B", "the file must stand alone there");
  }
  const recipe = recipeFor(preset, formats, flags.targetFormat);
  return {
    flags: { ...flags, targetFormat: recipe.format, creation: creationFor(preset, recipe, flags.creation) },
    destination: { preset, recipe },
    guestSize: rounded(sizeRuleOf(preset, recipe), flags.round, preset),
  };
}

/** The rule of the destination and the user's wish; one must be a multiple of the other. */
function rounded(rule: SizeRule, round: number | undefined, preset: Preset): SizeRule {
  if (round === undefined) return rule;
  const { multipleOf = 1 } = rule;
  const larger = Math.max(round, multipleOf);
  if (larger % Math.min(round, multipleOf) === 0) return { ...rule, multipleOf: larger };
  throw clash(preset, `--round=${round}`, `the disk must be a multiple of ${multipleOf} bytes`);
}

function clash(preset: Preset, option: string, why: string): ImageError {
  return new ImageError("usage", `Cannot use ${option} with --for ${preset.name}: ${why}`);
}

/** The options of the destination, then those of the user; the adapter is the user's to choose where it is asked for. */
function creationFor(preset: Preset, recipe: Recipe, given: readonly ListItem[]): readonly ListItem[] {
  if (asksForHelp(given)) return given;
  const free = preset.asks.includes("adapter") ? ["adapter_type"] : [];
  for (const { key, value } of given) {
    const fixed = recipe.options[key];
    if (fixed !== undefined && fixed !== value && !free.includes(key)) {
      throw clash(preset, `-o ${key}=${value}`, `it takes ${key}=${fixed}`);
    }
  }
  return [...Object.entries(recipe.options).map(([key, value]) => ({ key, value })), ...given];
}

/** That the file has the name that the destination wants. Throws `usage`. */
export function checkFileName({ preset, recipe }: Destination, path: string): void {
  const name = path.replace(/^.*[/\\]/, "");
  if (recipe.fileName === undefined || name === recipe.fileName) return;
  const message = `Cannot write "${path}" for ${preset.title}: the file must be called "${recipe.fileName}"`;
  throw new ImageError("usage", message, { path });
}
