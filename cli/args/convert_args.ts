/**
 * The arguments of `convert` become a job. No file is looked at.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { ConvertJob, Format, ImageSpec } from "../../mod.ts";
import { asksForHelp, parseSnapshot } from "./option_list.ts";
import { checkCombinations, checkNames, formatNamed } from "./convert_rules.ts";
import { sourcesOf, targetOf } from "./convert_images.ts";
import { flagsOf } from "./convert_flags.ts";
import type { WithDestination } from "./convert_destination.ts";
import type { Destination } from "../destinations/check.ts";
import type { ConvertFlags } from "./convert_flags.ts";
import type { ProgressView } from "../progress/progress.ts";
import type { ParsedArgs } from "../commands/command.ts";

/** What the user wants to see. */
export interface ConvertView extends ProgressView {
  /** Print the command with its permissions instead of converting. */
  readonly printPermissions: boolean;
  /** To be told before the work begins. */
  readonly warnings: readonly string[];
  /** For which the finished file is checked. */
  readonly destination?: Destination;
}

/** What the arguments ask for. */
export type ConvertRequest =
  | { readonly kind: "job"; readonly job: ConvertJob; readonly view: ConvertView }
  /** `-o help`: the creation options of a format. */
  | { readonly kind: "options"; readonly format: Format };

function optionHelp(flags: ConvertFlags, formats: readonly Format[]): ConvertRequest {
  if (flags.targetImageOpts && flags.targetFormat === undefined) {
    throw new ImageError("usage", "Cannot list creation options: give the format with -O");
  }
  return { kind: "options", format: formatNamed(flags.targetFormat ?? "raw", formats, "-O") };
}

function jobOf(flags: ConvertFlags, sources: readonly ImageSpec[], target: ConvertJob["target"]): ConvertJob {
  return {
    sources,
    target,
    ...(flags.sparseSize !== undefined && { sparseSize: flags.sparseSize }),
    ...(flags.rateLimit !== undefined && { rateLimit: flags.rateLimit }),
    ...(flags.offload && { offload: true }),
    ...(flags.salvage && { salvage: true }),
    ...(flags.digest && { digest: true }),
    ...(flags.bitmaps && { bitmaps: flags.skipBroken ? "skip-broken" as const : true }),
    ...(flags.forceShare && { forceShare: true }),
    ...(flags.sync !== undefined && { sync: flags.sync }),
    ...(flags.workers !== undefined && { workers: flags.workers }),
    ...(flags.compressionLevel !== undefined && { compressionLevel: flags.compressionLevel }),
    ...(flags.allowRefs.length > 0 && { allowRefs: flags.allowRefs }),
  };
}

/**
 * What the parsed arguments ask for.
 *
 * @param formats The formats that there are.
 * @param windows Whether drive letters and backslashes are parts of paths.
 * @throws ImageError `usage`, or `unsupported` for what qemu-img has and this program has not.
 */
export async function requestOf(
  parsed: ParsedArgs,
  formats: readonly Format[],
  windows: boolean,
): Promise<ConvertRequest> {
  const given = flagsOf(parsed);
  if (given.destination === undefined) {
    const { round } = given;
    return requestFor(
      { flags: given, ...(round !== undefined && { guestSize: { multipleOf: round } }) },
      formats,
      windows,
    );
  }
  // Few jobs name a destination, and all destinations together are a long table.
  const { checkFileName, withDestination } = await import("./convert_destination.ts");
  const request = requestFor(withDestination(given, given.destination, formats), formats, windows);
  if (request.kind === "job") checkFileName(request.view.destination!, request.job.target.path);
  return request;
}

function requestFor(
  { flags, destination, guestSize }: WithDestination,
  formats: readonly Format[],
  windows: boolean,
): ConvertRequest {
  checkCombinations(flags);
  checkNames(flags, formats);
  if (asksForHelp(flags.creation)) return optionHelp(flags, formats);
  const { target: plain, warnings } = targetOf(flags, formats, windows);
  const target = guestSize === undefined ? plain : { ...plain, guestSize };
  const { sources, forceShare } = sourcesOf(flags, formats, windows);
  if (flags.snapshot !== undefined) sources[0] = { ...sources[0]!, snapshot: parseSnapshot(flags.snapshot) };
  const view = {
    progress: flags.quiet && flags.progress !== "json" ? "none" as const : flags.progress,
    ...(flags.ascii && { ascii: true }),
    ...(flags.accessible && { accessible: true }),
    quiet: flags.quiet,
    printPermissions: flags.printPermissions,
    warnings,
    ...(destination !== undefined && { destination }),
  };
  return { kind: "job", job: jobOf({ ...flags, forceShare }, sources, target), view };
}
