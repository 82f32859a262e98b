/**
 * The command `presets`: a list of the destinations.
 *
 * @module
 */
import { allFormats } from "../../mod.ts";
import type { Format } from "../../mod.ts";
import { outputForm, refuseFiles } from "../args/read_options.ts";
import { lackOf, sizeRuleOf } from "../destinations/recipes.ts";
import { type Preset, presets, type Recipe } from "../destinations/table.ts";
import { sizeText } from "../../tui/human.ts";
import { runCommand } from "./run_command.ts";
import type { LoadedCommand } from "./command.ts";

/** `presets`. */
export const presetsCommand: LoadedCommand = {
  options: [{ long: "output", arg: "form", help: "human (default) or json" }],
  notes: "Examples:\n  diskcast presets --output=json",
  run: (args, context) =>
    runCommand(
      {
        read(parsed) {
          refuseFiles(parsed, "presets");
          return { form: outputForm(parsed, ["human", "json"], "list") };
        },
        work({ form }, { io }) {
          io.out(form === "json" ? presetsJson(presets, allFormats) : presetsText(presets, allFormats));
          return Promise.resolve(0);
        },
      },
      args,
      context,
    ),
};

/** Returns format and options of a recipe as `convert` takes them: `vpc, subformat=fixed`. */
export function recipeText(recipe: Recipe): string {
  return [recipe.format, ...Object.entries(recipe.options).map(([name, value]) => `${name}=${value}`)].join(", ");
}

/** Returns the limits of the disk size; empty where there are none. */
export function sizeRuleText(preset: Preset): string {
  const { multipleOf = 1, least, most } = preset.size;
  return [
    ...(multipleOf > 512 ? [`whole ${sizeText(multipleOf)}`] : []),
    ...(least === undefined ? [] : [`at least ${sizeText(least)}`]),
    ...(most === undefined ? [] : [`at most ${sizeText(most)}`]),
  ].join(", ");
}

/** Returns the destinations as lines for people. */
export function presetsText(all: readonly Preset[], formats: readonly Format[]): string {
  const width = Math.max(0, ...all.map(({ name }) => name.length));
  return all.map((preset) => {
    const recipes = preset.recipes.map((recipe) => {
      const lack = lackOf(recipe, formats);
      return recipeText(recipe) + (lack === null ? "" : ` (${lack})`);
    });
    const size = sizeRuleText(preset);
    const lines = [
      `${preset.name.padEnd(width)}  ${preset.title}: ${recipes.join(" | ")}`,
      ...(size === "" ? [] : [`size: ${size}`]),
      ...(preset.later === undefined ? [] : [`not yet: ${preset.later}`]),
    ];
    return lines.join(`\n${" ".repeat(width + 2)}`) + "\n";
  }).join("");
}

/** Returns the whole table of destinations as JSON. */
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
