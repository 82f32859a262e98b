/**
 * Options of the commands that change or check an image: their definitions, and the image specification that follows
 * from them. Opens no file.
 *
 * @module
 */
import type { ChangeOptions, ChangeSpec } from "../../mod.ts";
import { editedFromOptions } from "./image_opts.ts";
import { pathOf } from "./image_names.ts";
import type { OptionTree } from "./option_tree.ts";
import { isOn, textOf } from "./parse_args.ts";
import { forceDeviceOption, imagesToRead, onlyFile, READING, readingOptions, syncOf } from "./read_options.ts";
import { usageError } from "./usage.ts";
import type { OptionDef, ParsedArgs } from "../commands/command.ts";

/** How the image is opened: as for reading, but without `-U`, which means something else for each command. */
export const editOptions: readonly OptionDef[] = [
  ...readingOptions.filter(({ long }) => long !== "force-share"),
  forceDeviceOption,
];

/** `-t`: the cache mode of writes. */
export const writeCacheOption: OptionDef = {
  short: "t",
  long: "cache",
  arg: "mode",
  group: READING,
  help: "writethrough or directsync: on stable storage after every write; none, off, writeback (default) or unsafe: " +
    "where the order of a change needs it, and at the end",
};

/** An image to change or to check, and the options to open it with. */
export interface ImageToEdit {
  readonly image: ChangeSpec;
  readonly options: Pick<ChangeOptions, "allowRefs" | "forceShare" | "forceDevice" | "sync">;
}

/**
 * Returns the path in the name of an image.
 *
 * @param role The noun for the message.
 * @throws ImageError `usage`
 */
export function imagePath(name: string, role = "image"): string {
  return pathOf(name, Deno.build.os === "windows", role);
}

/**
 * Returns the image with the given name, of the format that `-f` states.
 *
 * @param writes Whether the image is written, and not only read.
 * @throws ImageError `usage`
 */
export function imageToEdit(parsed: ParsedArgs, name: string, writes = true): ImageToEdit {
  const describe = (tree: OptionTree) => editedFromOptions(tree, writes);
  const { images, options } = imagesToRead(parsed, [name], [["-f", textOf(parsed, "format")]], describe);
  const sync = syncOf(parsed, "cache", writes ? "-t" : "-T");
  const forceDevice = isOn(parsed, "force-device");
  return {
    image: images[0]!,
    options: { ...options, ...(sync !== undefined && { sync }), ...(forceDevice && { forceDevice }) },
  };
}

/**
 * Returns the image of a command that takes exactly one.
 *
 * @throws ImageError `usage`
 */
export function onlyImageToEdit(parsed: ParsedArgs, command: string, writes = true): ImageToEdit {
  return imageToEdit(parsed, onlyFile(parsed, command), writes);
}

/**
 * Checks that `-U` is not given where the image is written.
 *
 * @throws ImageError `usage`
 */
export function refuseForceShare(parsed: ParsedArgs, writes: boolean): void {
  if (!writes || !isOn(parsed, "force-share")) return;
  throw usageError("Cannot use -U for a change: an image that others are writing to must be left alone");
}
