/**
 * File names and descriptions become sources and a target. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Format, ImageSpec, TargetSpec } from "../../mod.ts";
import { sourceFromOptions, targetFromOptions } from "./image_opts.ts";
import type { SourceParts } from "./image_opts.ts";
import { nameParts, pathOf, storablePath } from "./image_names.ts";
import { type OptionTree, treeOfJson, treeOfOptions } from "./option_tree.ts";
import { type Creation, creationFrom } from "./create_args.ts";
import { formatNamed } from "./convert_rules.ts";
import type { ConvertFlags } from "./convert_flags.ts";

/** Drivers of a description must be formats that there are. */
function checkDrivers(image: ImageSpec, formats: readonly Format[]): void {
  if (image.format !== undefined) formatNamed(image.format, formats, "driver=");
  if (image.backing) checkDrivers(image.backing, formats);
}

/**
 * One image to read, as named or described; `described` reads descriptions.
 *
 * @throws ImageError `usage`
 */
export function sourceOf(
  name: string,
  flags: Pick<ConvertFlags, "imageOpts" | "sourceFormat">,
  formats: readonly Format[],
  windows: boolean,
  described: (tree: OptionTree) => SourceParts = sourceFromOptions,
): SourceParts {
  if (flags.imageOpts) return checked(described(treeOfOptions(name)), formats);
  const parts = nameParts(name, windows);
  const format = flags.sourceFormat;
  if ("path" in parts) {
    return { image: { path: parts.path, ...(format !== undefined && { format }) }, forceShare: undefined };
  }
  const source = checked(described(treeOfJson(parts.json)), formats);
  if (format !== undefined && source.image.format !== undefined) {
    throw new ImageError("usage", 'Cannot use -f with a json: name that has a "driver": leave one out');
  }
  return { ...source, image: { ...source.image, ...(format !== undefined && { format }) } };
}

function checked(source: SourceParts, formats: readonly Format[]): SourceParts {
  checkDrivers(source.image, formats);
  return source;
}

/** The sources: all files but the last; and whether locks are not to be asked for. */
export function sourcesOf(
  flags: ConvertFlags,
  formats: readonly Format[],
  windows: boolean,
): { sources: ImageSpec[]; forceShare: boolean } {
  const all = flags.files.slice(0, -1).map((name) => sourceOf(name, flags, formats, windows));
  if (flags.forceShare && all.some((one) => one.forceShare === false)) {
    throw new ImageError("usage", "Cannot use -U with force-share=off: leave one out");
  }
  const shared = all.map((one) => one.forceShare ?? flags.forceShare);
  if (shared.some((one) => one !== shared[0])) {
    throw new ImageError("usage", "Cannot use force-share=on for some sources only: give it for all of them, or -U");
  }
  return { sources: all.map((one) => one.image), forceShare: shared[0] ?? false };
}

/** The target with what is to be told about it. */
export interface TargetPlan {
  readonly target: TargetSpec;
  readonly warnings: readonly string[];
}

interface TargetCreation extends Creation {
  readonly warnings: readonly string[];
}

/** `-o` with what has its own place in the job taken out of it. */
function creationOf(flags: ConvertFlags, format: Format | undefined): TargetCreation {
  const creation = creationFrom(flags.creation, format);
  const warnings = creation.size === undefined
    ? []
    : ["size in -o has no effect: the target is as large as the sources"];
  return {
    ...creation,
    backing: flags.backing ?? creation.backing,
    backingFormat: flags.backingFormat ?? creation.backingFormat,
    warnings,
  };
}

function backingSpec(creation: Creation, windows: boolean): TargetSpec["backing"] {
  const path = storablePath(pathOf(creation.backing!, windows, "backing file"), windows);
  return { path, ...(creation.backingFormat !== undefined && { format: creation.backingFormat }) };
}

/**
 * The target: the last file.
 *
 * @throws ImageError `usage`
 */
export function targetOf(flags: ConvertFlags, formats: readonly Format[], windows: boolean): TargetPlan {
  if (flags.files.length < 2) {
    const missing = flags.files.length === 0 ? "source and target are" : "target (or the source) is";
    throw new ImageError(
      "usage",
      `Cannot convert: the ${missing} missing; give one or more sources, then the target`,
    );
  }
  const place = placeOf(flags, formats, windows);
  const format = place.format === undefined ? undefined : formatNamed(place.format, formats, "-O");
  const creation = creationOf(flags, format);
  if (creation.backingFormat !== undefined) formatNamed(creation.backingFormat, formats, "-F");
  if (creation.backingFormat !== undefined && creation.backing === undefined) {
    throw new ImageError("usage", "Cannot use -F without -B: name the backing file, or leave -F out");
  }
  const target: TargetSpec = {
    ...place,
    ...(Object.keys(creation.options).length > 0 && { options: creation.options }),
    ...(creation.backing !== undefined && { backing: backingSpec(creation, windows)! }),
    ...(flags.compress && { compress: true }),
    ...(!flags.create && { create: false }),
    ...(flags.targetIsZero && { isZero: true }),
  };
  return { target, warnings: creation.warnings };
}

/** Where the target is and what its format is said to be. */
function placeOf(flags: ConvertFlags, formats: readonly Format[], windows: boolean): TargetSpec {
  const name = flags.files.at(-1)!;
  if (flags.targetImageOpts) {
    const parts = targetFromOptions(treeOfOptions(name));
    if (parts.format !== undefined) formatNamed(parts.format, formats, "driver=");
    if (parts.backingOfExisting) checkDrivers(parts.backingOfExisting, formats);
    return parts;
  }
  return { path: pathOf(name, windows, "target"), format: flags.targetFormat ?? "raw" };
}
