/**
 * What the arguments of a command say about the image that it changes or checks. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { ChangeOptions, ChangeSpec } from "../../mod.ts";
import { changedFromOptions } from "./image_opts.ts";
import { pathOf } from "./image_names.ts";
import { isOn, onlyFile, readingOf, syncOf, textOf } from "./read_args.ts";
import type { ParsedArgs } from "../commands/command.ts";

const WINDOWS = Deno.build.os === "windows";

/** An image to be changed, and how. */
export interface Changing {
  readonly image: ChangeSpec;
  readonly options: Pick<ChangeOptions, "allowRefs" | "forceShare" | "sync">;
}

/** The path of an image by name. */
export function imagePath(name: string, role = "image"): string {
  return pathOf(name, WINDOWS, role);
}

/**
 * The image `name`, with the format that `-f` states; `changes`: whether it is changed, and not only looked at.
 *
 * @throws ImageError `usage`
 */
export function changingOf(parsed: ParsedArgs, name: string, changes = true): Changing {
  const described = (tree: Parameters<typeof changedFromOptions>[0]) => changedFromOptions(tree, changes);
  const { images, options } = readingOf(parsed, [name], [["-f", textOf(parsed, "format")]], described);
  const sync = syncOf(parsed, "cache", changes ? "-t" : "-T");
  return { image: images[0]!, options: { ...options, ...(sync !== undefined && { sync }) } };
}

/**
 * The one image of a command that takes no more.
 *
 * @throws ImageError `usage`
 */
export function changingOne(parsed: ParsedArgs, command: string, changes = true): Changing {
  return changingOf(parsed, onlyFile(parsed, command), changes);
}

/**
 * Refuses `-U` together with what changes the image.
 *
 * @throws ImageError `usage`
 */
export function refuseShared(parsed: ParsedArgs, changes: boolean): void {
  if (!changes || !isOn(parsed, "force-share")) return;
  throw new ImageError("usage", "Cannot use -U for a change: an image that others are writing to must be left alone");
}
