/**
 * The command `presets`: the destinations as a list.
 *
 * @module
 */
import { allFormats, ImageError } from "../../mod.ts";
import type { Format } from "../../mod.ts";
import { parseArgs } from "../args/parse_args.ts";
import { helpOf } from "./run_command.ts";
import type { CommandContext } from "./command.ts";
import { lackOf, sizeRuleOf } from "../destinations/recipes.ts";
import { type Preset, presets, type Recipe } from "../destinations/table.ts";
import { presetsCommand } from "./presets_options.ts";
import { sizeText } from "../report/units.ts";

/** A way to write, as `convert` would be told: `vpc, subformat=fixed`. */
export function recipeText(recipe: Recipe): string {
  return [recipe.format, ...Object.entries(recipe.options).map(([name, value]) => `${name}=${value}`)].join(", ");
}

/** How large the disk may be, in words; empty where anything goes. */
export function sizeRuleText(preset: Preset): string {
  const { multipleOf = 1, least, most } = preset.size;
  return [
    ...(multipleOf > 512 ? [`whole ${sizeText(multipleOf)}`] : []),
    ...(least === undefined ? [] : [`at least ${sizeText(least)}`]),
    ...(most === undefined ? [] : [`at most ${sizeText(most)}`]),
  ].join(", ");
}

/** The destinations as lines for people. */
export function presetsText(all: readonly Preset[], formats: readonly Format[]): string {
  const width = Math.max(0, ...all.map(({ name }) => name.length));
  return all.map((preset) => {
    const ways = preset.recipes.map((recipe) => {
      const lack = lackOf(recipe, formats);
      return recipeText(recipe) + (lack === null ? "" : ` (${lack})`);
    });
    const size = sizeRuleText(preset);
    const lines = [
      `${preset.name.padEnd(width)}  ${preset.title}: ${ways.join(" | ")}`,
      ...(size === "" ? [] : [`size: ${size}`]),
      ...(preset.later === undefined ? [] : [`not yet: ${preset.later}`]),
    ];
    return lines.join(`\n${" ".repeat(width + 2)}`) + "\n";
  }).join("");
}

/** The destinations as JSON, every fact of them. */
export function presetsJson(all: readonly Preset[], formats: readonly Format[]): string {
  const rows = all.map((preset) => ({
    ...preset,
    recipes: preset.recipes.map((recipe) => ({
      ...recipe,
      size: sizeRuleOf(preset, recipe),
      lacks: lackOf(recipe, formats),
    })),
  }));
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/** Runs `presets`; the result is the exit code. */
export async function runPresets(args: readonly string[], { io }: CommandContext): Promise<number> {
  const parsed = parseArgs(presetsCommand, args);
  if (parsed === null) {
    io.out(await helpOf(presetsCommand));
    return 0;
  }
  if (parsed.files.length > 0) throw new ImageError("usage", `Cannot use "${parsed.files[0]}": presets takes no files`);
  const form = parsed.options["output"] ?? "human";
  if (form !== "human" && form !== "json") {
    throw new ImageError("usage", `Cannot write the list as "${form}": --output must be human or json`);
  }
  io.out(form === "json" ? presetsJson(presets, allFormats) : presetsText(presets, allFormats));
  return 0;
}
