/**
 * What the arguments of a command say about the image that it changes or checks. Pure.
 *
 * @module
 */
import { allFormats, ImageError } from "../mod.ts";
import type { ChangeSpec, OpenDiskOptions } from "../mod.ts";
import { cacheMode, refuseObject } from "./convert_flags.ts";
import { formatNamed } from "./convert_rules.ts";
import { pathOf } from "./image_names.ts";
import { isOn, listOf, textOf } from "./reading.ts";
import { READING, readingOptions } from "./reading_options.ts";
import type { OptionDef, ParsedArgs } from "./command_def.ts";

const WINDOWS = Deno.build.os === "windows";

/** An image to be changed, and how. */
export interface Changing {
  readonly image: ChangeSpec;
  readonly options: Pick<OpenDiskOptions, "allowRefs" | "forceShare">;
}

/** Options of every command that changes an image: those of reading, as far as they make sense for a whole file. */
export const changingOptions: readonly OptionDef[] = readingOptions.filter(({ long }) =>
  long === "allow-ref" || long === "object"
);

/** Heading of {@linkcode changingOptions} in the help. */
export const CHANGING = READING;

/** The path of an image by name. */
export function imagePath(name: string, role = "image"): string {
  return pathOf(name, WINDOWS, role);
}

/**
 * The image `name`, with the format that `-f` states.
 *
 * @throws ImageError `usage`
 */
export function changingOf(parsed: ParsedArgs, name: string): Changing {
  listOf(parsed, "object").forEach(refuseObject);
  const cache = textOf(parsed, "cache");
  if (cache !== undefined) cacheMode(cache, "-t");
  const format = textOf(parsed, "format");
  if (format !== undefined) formatNamed(format, allFormats, "-f");
  const allowRefs = listOf(parsed, "allow-ref");
  return {
    image: { path: imagePath(name), ...(format !== undefined && { format }) },
    options: { ...(allowRefs.length > 0 && { allowRefs }), ...(isOn(parsed, "force-share") && { forceShare: true }) },
  };
}

/**
 * The one image of a command that takes no more.
 *
 * @throws ImageError `usage`
 */
export function changingOne(parsed: ParsedArgs, command: string): Changing {
  if (parsed.files.length === 1) return changingOf(parsed, parsed.files[0]!);
  const found = parsed.files.length === 0 ? "none is given" : `${parsed.files.length} are given`;
  throw new ImageError("usage", `Cannot tell which image is meant: ${command} takes one, and ${found}`);
}
