/** Compares docs/destinations.md with the table of destinations; `UPDATE_DOCS=1` with this test writes it anew. */
import assert from "node:assert/strict";
import { presets } from "../../../cli/destinations/table.ts";
import { recipeText, sizeRuleText } from "../../../cli/destinations/recipes.ts";

const path = new URL("../../../docs/destinations.md", import.meta.url);
const BEGIN = "<!-- from cli/destinations/table.ts -->\n";
const END = "<!-- end -->\n";

function sections(): string {
  return presets.map((preset) => {
    const recipes = preset.recipes.map((recipe) => `\`${recipeText(recipe)}\``).join(", or ");
    const size = sizeRuleText(preset);
    const lines = [
      `### ${preset.name}: ${preset.title}`,
      `Written as ${recipes}.${size === "" ? "" : ` The disk: ${size}.`}`,
      ...(preset.notes.length > 0 ? [preset.notes.map((note) => `- ${note}`).join("\n")] : []),
      ...(preset.next.length > 0 ? ["```\n" + preset.next.join("\n") + "\n```"] : []),
      ...(preset.later === undefined ? [] : [`Not written yet: ${preset.later}.`]),
      `From ${preset.sources.join(", ")}; ${preset.date}.`,
    ];
    return lines.join("\n\n") + "\n";
  }).join("\n");
}

Deno.test("docs/destinations.md has every destination of the table", () => {
  const text = Deno.readTextFileSync(path);
  const [from, to] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
  assert.ok(from >= BEGIN.length && to >= from);
  if (Deno.env.get("UPDATE_DOCS") === "1") {
    Deno.writeTextFileSync(path, text.slice(0, from) + "\n" + sections() + "\n" + text.slice(to));
    return;
  }
  assert.equal(text.slice(from, to), "\n" + sections() + "\n");
});
