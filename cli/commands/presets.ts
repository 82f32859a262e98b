/**
 * The command `presets`: a list of the destinations.
 *
 * @module
 */
import { allFormats } from "../../mod.ts";
import type { Format } from "../../mod.ts";
import { outputForm, refuseFiles } from "../args/read_options.ts";
import { recipeProblem, recipeText, sizeRuleOf, sizeRuleText } from "../destinations/recipes.ts";
import { type Preset, presets } from "../destinations/table.ts";
import { runCommand } from "./run_command.ts";
import type { LoadedCommand } from "./command.ts";
import { jsonText } from "../report/json.ts";

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

/** Returns the destinations as lines for people. */
export function presetsText(all: readonly Preset[], formats: readonly Format[]): string {
  const width = Math.max(0, ...all.map(({ name }) => name.length));
  return all.map((preset) => {
    const recipes = preset.recipes.map((recipe) => {
      const problem = recipeProblem(recipe, formats);
      return recipeText(recipe) + (problem === null ? "" : ` (${problem})`);
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
      lacks: recipeProblem(recipe, formats),
    })),
  }));
  return `${jsonText(rows, 2)}\n`;
}
