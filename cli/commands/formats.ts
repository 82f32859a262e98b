/**
 * The command `formats`: the registry as a list.
 *
 * @module
 */
import { allFormats, ImageError } from "../../mod.ts";
import type { Format } from "../../mod.ts";
import { parseArgs } from "../args/parse_args.ts";
import { helpOf } from "./run_command.ts";
import { formatsCommand } from "./formats_options.ts";
import type { CommandContext } from "./command.ts";

/** What a format can do, in words. */
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

/** The formats as lines for people. */
export function formatsText(formats: readonly Format[]): string {
  const width = Math.max(0, ...formats.map((format) => format.name.length));
  return formats.map((format) =>
    `${format.name.padEnd(width)}  ${format.title}` +
    ` (${format.extensions.map((extension) => `.${extension}`).join(" ")}): ${abilities(format).join(", ")}\n`
  ).join("");
}

/** The formats as JSON. */
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
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/** Runs `formats`; the result is the exit code. */
export async function runFormats(args: readonly string[], { io }: CommandContext): Promise<number> {
  const parsed = parseArgs(formatsCommand, args);
  if (parsed === null) {
    io.out(await helpOf(formatsCommand));
    return 0;
  }
  if (parsed.files.length > 0) throw new ImageError("usage", `Cannot use "${parsed.files[0]}": formats takes no files`);
  const form = parsed.options["output"] ?? "human";
  if (form !== "human" && form !== "json") {
    throw new ImageError("usage", `Cannot write the list as "${form}": --output must be human or json`);
  }
  io.out(form === "json" ? formatsJson(allFormats) : formatsText(allFormats));
  return 0;
}
