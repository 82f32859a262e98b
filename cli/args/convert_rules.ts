/**
 * Combinations of options that make no sense, as far as the arguments alone show it. Nothing has been opened yet.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Format } from "../../mod.ts";
import { nearest } from "./nearest.ts";
import type { ConvertFlags } from "./convert_flags.ts";

type Rule = readonly [broken: boolean, message: string];

function firstBroken(rules: readonly Rule[]): void {
  for (const [broken, message] of rules) if (broken) throw new ImageError("usage", message);
}

/** Contradictions that the job itself would no longer show; those that it shows are the library's to find. */
export function checkCombinations(flags: ConvertFlags): void {
  firstBroken([
    [
      flags.skipBroken && !flags.bitmaps,
      "Cannot use --skip-broken-bitmaps without --bitmaps: add --bitmaps, or leave it out",
    ],
    [flags.targetImageOpts && flags.create, "Cannot use --target-image-opts without -n: the target must exist"],
    [!flags.create && flags.creation.length > 0, "Cannot use -o with -n: an image that exists has its options already"],
    [
      flags.imageOpts && flags.sourceFormat !== undefined,
      "Cannot use -f with --image-opts: write driver=FORMAT into the description instead",
    ],
    [
      flags.targetImageOpts && flags.targetFormat !== undefined,
      "Cannot use -O with --target-image-opts: write driver=FORMAT into the description instead",
    ],
  ]);
}

/** The format called `name`. Throws `usage`, with a suggestion, where there is none. */
export function formatNamed(name: string, formats: readonly Format[], option: string): Format {
  const format = formats.find((one) => one.name === name);
  if (format !== undefined) return format;
  const names = formats.map((one) => one.name);
  const near = formats.find((one) => one.extensions.includes(name.toLowerCase()))?.name ?? nearest(name, names);
  const suggestion = near === undefined ? "" : `; did you mean "${near}"?`;
  throw new ImageError("usage", `Unknown format "${name}" in ${option}: it must be ${names.join(", ")}${suggestion}`);
}

/** That every format named by an option exists. */
export function checkNames(flags: ConvertFlags, formats: readonly Format[]): void {
  for (
    const [option, name] of [
      ["-f", flags.sourceFormat],
      ["-O", flags.targetFormat],
      ["-F", flags.backingFormat],
    ] as const
  ) if (name !== undefined) formatNamed(name, formats, option);
}
