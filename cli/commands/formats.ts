/**
 * The command `formats`: a list of the registry.
 *
 * @module
 */
import { allFormats } from "../../mod.ts";
import type { Format } from "../../mod.ts";
import { outputForm, refuseFiles } from "../args/read_options.ts";
import { runCommand } from "./run_command.ts";
import type { LoadedCommand } from "./command.ts";
import { jsonText } from "../report/json.ts";

/** `formats`. */
export const formatsCommand: LoadedCommand = {
  options: [{ long: "output", arg: "form", help: "human (default) or json" }],
  notes: "Examples:\n  diskcast formats --output=json",
  run: (args, context) =>
    runCommand(
      {
        read(parsed) {
          refuseFiles(parsed, "formats");
          return { form: outputForm(parsed, ["human", "json"], "list") };
        },
        work({ form }, { io }) {
          io.out(form === "json" ? formatsJson(allFormats) : formatsText(allFormats));
          return Promise.resolve(0);
        },
      },
      args,
      context,
    ),
};

/** Returns the formats as lines for people. */
export function formatsText(formats: readonly Format[]): string {
  const width = Math.max(0, ...formats.map((format) => format.name.length));
  return formats.map((format) =>
    `${format.name.padEnd(width)}  ${format.title}` +
    ` (${format.extensions.map((extension) => `.${extension}`).join(" ")}): ${abilities(format).join(", ")}\n`
  ).join("");
}

function abilities(format: Format): string[] {
  return [
    "read",
    ...(format.create === undefined ? [] : ["create"]),
    ...(format.edit === undefined ? [] : ["write in place"]),
    ...(format.has.compression ? ["compress"] : []),
    ...(format.has.backing ? [format.has.overlays ? "backing files" : "backing files (read)"] : []),
    ...(format.has.snapshots ? ["snapshots"] : []),
    ...(format.has.bitmaps ? ["bitmaps"] : []),
  ];
}

/** Returns the formats as JSON. */
export function formatsJson(formats: readonly Format[]): string {
  const rows = formats.map((format) => ({
    name: format.name,
    title: format.title,
    extensions: format.extensions,
    create: format.create !== undefined,
    edit: format.edit !== undefined,
    ...format.has,
    createOptions: format.createOptions,
  }));
  return `${jsonText(rows, 2)}\n`;
}
