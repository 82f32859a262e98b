/**
 * What the arguments of a command say about the images that it reads. Pure.
 *
 * @module
 */
import { allFormats, ImageError } from "../../mod.ts";
import type { ImageSpec, OpenDiskOptions, SyncMode } from "../../mod.ts";
import { sourceOf } from "./convert_images.ts";
import { cacheMode, progressForm, refuseObject } from "./convert_flags.ts";
import { formatNamed } from "./convert_rules.ts";
import type { SourceParts } from "./image_opts.ts";
import type { OptionTree } from "./option_tree.ts";
import type { ProgressView } from "../progress/progress.ts";
import type { ParsedArgs } from "../commands/command.ts";

const WINDOWS = Deno.build.os === "windows";

/** Images to read, and how. */
export interface Reading {
  readonly images: readonly ImageSpec[];
  readonly options: Pick<OpenDiskOptions, "allowRefs" | "forceShare">;
}

/** The text of an option, absent where it is not given. */
export function textOf({ options }: ParsedArgs, name: string): string | undefined {
  return options[name] as string | undefined;
}

/** Whether a switch is on. */
export function isOn({ options }: ParsedArgs, name: string): boolean {
  return options[name] === true;
}

/** The values of an option that may be repeated. */
export function listOf({ options }: ParsedArgs, name: string): readonly string[] {
  return (options[name] ?? []) as readonly string[];
}

/**
 * The image files `names` as images.
 *
 * @param formats The format that the user states for each of them, and the option that states it.
 * @throws ImageError `usage`, or `unsupported` for `--object`
 */
export function readingOf(
  parsed: ParsedArgs,
  names: readonly string[],
  formats: readonly (readonly [option: string, format: string | undefined])[],
  described?: (tree: OptionTree) => SourceParts,
): Reading {
  listOf(parsed, "object").forEach(refuseObject);
  const imageOpts = isOn(parsed, "image-opts");
  const parts = names.map((name, index) => {
    const [option, sourceFormat] = formats[Math.min(index, formats.length - 1)];
    if (sourceFormat !== undefined) {
      formatNamed(sourceFormat, allFormats, option);
      if (imageOpts) {
        const message = `Cannot use ${option} with --image-opts: write driver=FORMAT into the description instead`;
        throw new ImageError("usage", message);
      }
    }
    return sourceOf(name, { imageOpts, sourceFormat }, allFormats, WINDOWS, described);
  });
  const forceShare = isOn(parsed, "force-share") || parts.some((part) => part.forceShare === true);
  const allowRefs = listOf(parsed, "allow-ref");
  return {
    images: parts.map((part) => part.image),
    options: { ...(allowRefs.length > 0 && { allowRefs }), ...(forceShare && { forceShare }) },
  };
}

/**
 * The one image of a command that takes no more.
 *
 * @throws ImageError `usage`
 */
export function readingOfOne(parsed: ParsedArgs, command: string): Reading {
  return readingOf(parsed, [onlyFile(parsed, command)], [["-f", textOf(parsed, "format")]]);
}

/**
 * The one file of a command that takes no more.
 *
 * @throws ImageError `usage`
 */
export function onlyFile({ files }: ParsedArgs, command: string): string {
  if (files.length === 1) return files[0]!;
  const found = files.length === 0 ? "none is given" : `${files.length} are given`;
  throw new ImageError("usage", `Cannot tell which image is meant: ${command} takes one, and ${found}`);
}

/**
 * What the cache mode in the option `name` means, for the option `short` in messages; absent where it is not given.
 *
 * @throws ImageError `usage`
 */
export function syncOf(parsed: ParsedArgs, name: string, short: string): SyncMode | undefined {
  const mode = textOf(parsed, name);
  return mode === undefined ? undefined : cacheMode(mode, short);
}

/**
 * The form that `--output` asks for.
 *
 * @throws ImageError `usage`
 */
export function outputForm<Form extends string>(parsed: ParsedArgs, forms: readonly Form[]): Form {
  const given = textOf(parsed, "output") ?? forms[0];
  const form = forms.find((one) => one === given);
  if (form !== undefined) return form;
  const last = forms.at(-1);
  const rest = forms.slice(0, -1).join(", ");
  throw new ImageError("usage", `Cannot write the result as "${given}": --output must be ${rest} or ${last}`);
}

/**
 * What `-p`, `--progress`, `--ascii`, `--accessible` and `-q` ask for.
 *
 * @throws ImageError `usage`
 */
export function viewOf(parsed: ParsedArgs): ProgressView {
  const given = textOf(parsed, "progress");
  const wanted = given !== undefined ? progressForm(given) : isOn(parsed, "p") ? "qemu" as const : "auto" as const;
  if (wanted === "screen") {
    throw new ImageError("usage", "Cannot show a screen: only convert has one; take bar, plain, json or none");
  }
  const quiet = isOn(parsed, "quiet");
  return {
    progress: quiet && wanted !== "json" ? "none" : wanted,
    ascii: isOn(parsed, "ascii"),
    accessible: isOn(parsed, "accessible"),
    quiet,
  };
}
