/**
 * From file names and image descriptions of `convert` to sources and a target. Pure.
 *
 * @module
 */
import type { Format, ImageSpec, TargetSpec } from "../../mod.ts";
import type { ConvertFlags } from "./convert_flags.ts";
import { type CreationOptions, creationOptions } from "./creation_options.ts";
import { pathOf, storablePath } from "./image_names.ts";
import { checkDrivers, type DescribedTarget, sourceImage, targetFromOptions } from "./image_opts.ts";
import { treeOfOptions } from "./option_tree.ts";
import { endingWarning } from "./target_format.ts";
import { formatOfOption, usageError } from "./usage.ts";

/**
 * Returns the sources, all files but the last, and whether they are opened without locks.
 *
 * @throws ImageError `usage`
 */
export function sourcesOf(
  flags: ConvertFlags,
  formats: readonly Format[],
  windows: boolean,
): { sources: ImageSpec[]; forceShare: boolean } {
  const all = flags.files.slice(0, -1).map((name) => sourceImage(name, flags, formats, windows));
  if (flags.forceShare && all.some((one) => one.forceShare === false)) {
    throw usageError("Cannot use -U with force-share=off: leave one out");
  }
  const shared = all.map((one) => one.forceShare ?? flags.forceShare);
  if (shared.some((one) => one !== shared[0])) {
    throw usageError("Cannot use force-share=on for some sources only: give it for all of them, or -U");
  }
  return { sources: all.map((one) => one.image), forceShare: shared[0] ?? false };
}

/** The target, and warnings about its arguments. */
export interface Target {
  readonly target: TargetSpec;
  readonly warnings: readonly string[];
}

/**
 * Returns the target: the last file.
 *
 * @throws ImageError `usage`
 */
export function targetOf(flags: ConvertFlags, formats: readonly Format[], windows: boolean): Target {
  if (flags.files.length < 2) {
    const missing = flags.files.length === 0 ? "source and target are" : "target (or the source) is";
    throw usageError(`Cannot convert: the ${missing} missing; give one or more sources, then the target`);
  }
  const described = describedTarget(flags, formats, windows);
  const format = described.format === undefined ? undefined : formatOfOption(described.format, formats, "-O");
  const creation = withBackingFlags(creationOptions(flags.creation, format), flags);
  if (creation.backingFormat !== undefined) formatOfOption(creation.backingFormat, formats, "-F");
  if (creation.backingFormat !== undefined && creation.backing === undefined) {
    throw usageError("Cannot use -F without -B: name the backing file, or leave -F out");
  }
  const target: TargetSpec = {
    ...described,
    ...(Object.keys(creation.options).length > 0 && { options: creation.options }),
    ...(creation.backing !== undefined && { backing: backingSpec(creation.backing, creation.backingFormat, windows) }),
    ...(flags.compress && { compress: true }),
    ...(!flags.create && { create: false }),
    ...(flags.targetIsZero && { isZero: true }),
  };
  const ignored = "size in -o has no effect: the target is as large as the sources";
  const disagreement = format === undefined ? undefined : endingWarning(described.path, format.name, formats);
  return {
    target,
    warnings: [
      ...(creation.size === undefined ? [] : [ignored]),
      ...(disagreement === undefined ? [] : [disagreement]),
    ],
  };
}

function describedTarget(flags: ConvertFlags, formats: readonly Format[], windows: boolean): DescribedTarget {
  const name = flags.files.at(-1)!;
  if (!flags.targetImageOpts) return { path: pathOf(name, windows, "target"), format: flags.targetFormat ?? "raw" };
  const described = targetFromOptions(treeOfOptions(name));
  if (described.format !== undefined) formatOfOption(described.format, formats, "driver=");
  if (described.backingOfExisting) checkDrivers(described.backingOfExisting, formats);
  return described;
}

/** Replaces backing file and format of `-o` by those of `-B` and `-F`, where given. */
function withBackingFlags(creation: CreationOptions, { backing, backingFormat }: ConvertFlags): CreationOptions {
  return {
    ...creation,
    backing: backing ?? creation.backing,
    backingFormat: backingFormat ?? creation.backingFormat,
  };
}

/**
 * Returns the backing file of a new image as the image names it.
 *
 * @throws ImageError `usage`
 */
export function backingSpec(
  name: string,
  format: string | undefined,
  windows: boolean,
): NonNullable<TargetSpec["backing"]> {
  const path = storablePath(pathOf(name, windows, "backing file"), windows);
  return { path, ...(format !== undefined && { format }) };
}
