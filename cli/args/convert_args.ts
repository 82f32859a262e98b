/**
 * From the arguments of `convert` to a job. Opens no file.
 *
 * @module
 */
import type { ConvertJob, Format, ImageSpec } from "../../mod.ts";
import type { WithDestination } from "./convert_destination.ts";
import { type ConvertFlags, convertFlags } from "./convert_flags.ts";
import { sourcesOf, targetOf } from "./convert_images.ts";
import { asksForHelp, parseSnapshot } from "./option_list.ts";
import { formatOfEnding } from "./target_format.ts";
import { formatOfOption, usageError } from "./usage.ts";
import type { Destination } from "../destinations/check.ts";
import type { ProgressView } from "../progress/progress.ts";
import { targetAsQemuImg } from "../qemu_img_mode.ts";
import type { ParsedArgs } from "../commands/command.ts";

/** The output of a conversion. */
export interface ConvertView extends ProgressView {
  /** Print the command with its permissions instead of converting. */
  readonly printPermissions: boolean;
  /** Warnings about the arguments. */
  readonly warnings: readonly string[];
  /** The destination that the finished file is checked for. */
  readonly destination?: Destination;
  /** Leave the screen when the job has ended, without the page of the result. */
  readonly noWait?: boolean;
  /** Ring the bell of the terminal, and notify the desktop, when the job has ended. */
  readonly bell?: boolean;
}

/** A job, or `-o help`: the creation options of a format. */
export type ConvertRequest =
  | { readonly kind: "job"; readonly job: ConvertJob; readonly view: ConvertView }
  | { readonly kind: "options"; readonly format: Format };

/**
 * Returns the request that the arguments make. Without `-O` the ending of the target's name states its format, or it is
 * raw; qemu-img takes raw in any case.
 *
 * @param windows Whether drive letters and backslashes are parts of paths.
 * @param asQemuImg Whether the program takes the place of qemu-img.
 * @throws ImageError `usage`, or `unsupported` for options of qemu-img that this program does not have
 */
export async function convertRequest(
  parsed: ParsedArgs,
  formats: readonly Format[],
  windows: boolean,
  asQemuImg = false,
): Promise<ConvertRequest> {
  const request = await ownRequest(parsed, formats, windows, asQemuImg);
  if (!asQemuImg || request.kind !== "job") return request;
  return { ...request, job: { ...request.job, target: targetAsQemuImg(request.job.target) } };
}

async function ownRequest(
  parsed: ParsedArgs,
  formats: readonly Format[],
  windows: boolean,
  asQemuImg: boolean,
): Promise<ConvertRequest> {
  const given = convertFlags(parsed);
  // Callers of qemu-img expect no refusal where it converts; the warning remains.
  const flags = asQemuImg ? { ...given, allowSectorSizeChange: true } : withFormatOfEnding(given, formats);
  if (flags.destination === undefined) {
    const { round } = flags;
    return requestFor({ flags, ...(round !== undefined && { guestSize: { multipleOf: round } }) }, formats, windows);
  }
  // Loaded here because few jobs name a destination, and the table of destinations is long.
  const { checkFileName, withDestination } = await import("./convert_destination.ts");
  const request = requestFor(withDestination(flags, flags.destination, formats), formats, windows);
  if (request.kind === "job") checkFileName(request.view.destination!, request.job.target.path);
  return request;
}

function withFormatOfEnding(flags: ConvertFlags, formats: readonly Format[]): ConvertFlags {
  const { targetFormat, destination, targetImageOpts, files } = flags;
  if (targetFormat !== undefined || destination !== undefined || targetImageOpts || files.length < 2) return flags;
  const format = formatOfEnding(files.at(-1)!, formats);
  return format === undefined ? flags : { ...flags, targetFormat: format.name };
}

function requestFor(
  { flags, destination, guestSize }: WithDestination,
  formats: readonly Format[],
  windows: boolean,
): ConvertRequest {
  checkCombinations(flags);
  checkFormats(flags, formats);
  if (asksForHelp(flags.creation)) return optionHelp(flags, formats);
  const { target: plain, warnings } = targetOf(flags, formats, windows);
  const target = guestSize === undefined ? plain : { ...plain, guestSize };
  const { sources, forceShare } = sourcesOf(flags, formats, windows);
  if (flags.snapshot !== undefined) sources[0] = { ...sources[0]!, snapshot: parseSnapshot(flags.snapshot) };
  const view = {
    progress: flags.quiet && flags.progress !== "json" ? "none" as const : flags.progress,
    ...(flags.withoutScreen && { withoutScreen: flags.withoutScreen }),
    ...(flags.ascii && { ascii: true }),
    ...(flags.accessible && { accessible: true }),
    ...(flags.noWait && { noWait: true }),
    ...(flags.bell && { bell: true }),
    quiet: flags.quiet,
    printPermissions: flags.printPermissions,
    warnings,
    ...(destination !== undefined && { destination }),
  };
  return { kind: "job", job: jobOf({ ...flags, forceShare }, sources, target), view };
}

/** Checks the contradictions that a job can no longer show; the library checks the others. */
function checkCombinations(flags: ConvertFlags): void {
  const rules: readonly (readonly [broken: boolean, message: string])[] = [
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
  ];
  for (const [broken, message] of rules) if (broken) throw usageError(message);
}

function checkFormats({ sourceFormat, targetFormat, backingFormat }: ConvertFlags, formats: readonly Format[]): void {
  for (const [option, name] of [["-f", sourceFormat], ["-O", targetFormat], ["-F", backingFormat]] as const) {
    if (name !== undefined) formatOfOption(name, formats, option);
  }
}

function optionHelp(flags: ConvertFlags, formats: readonly Format[]): ConvertRequest {
  if (flags.targetImageOpts && flags.targetFormat === undefined) {
    throw usageError("Cannot list creation options: give the format with -O");
  }
  return { kind: "options", format: formatOfOption(flags.targetFormat ?? "raw", formats, "-O") };
}

function jobOf(flags: ConvertFlags, sources: readonly ImageSpec[], target: ConvertJob["target"]): ConvertJob {
  return {
    sources,
    target,
    ...(flags.sparseSize !== undefined && { sparseSize: flags.sparseSize }),
    ...(flags.rateLimit !== undefined && { rateLimit: flags.rateLimit }),
    ...(flags.offload && { offload: true }),
    ...(flags.salvage && { salvage: true }),
    ...(flags.digest && { digest: flags.digest }),
    ...(flags.allowSectorSizeChange && { allowSectorSizeChange: true }),
    ...(flags.convertGpt && { convertGpt: true }),
    ...(flags.bitmaps && { bitmaps: flags.skipBroken ? "skip-broken" as const : true }),
    ...(flags.forceShare && { forceShare: true }),
    ...(flags.forceDevice && { forceDevice: true }),
    ...(flags.sync !== undefined && { sync: flags.sync }),
    ...(flags.workers !== undefined && { workers: flags.workers }),
    ...(flags.compressionLevel !== undefined && { compressionLevel: flags.compressionLevel }),
    ...(flags.allowRefs.length > 0 && { allowRefs: flags.allowRefs }),
  };
}
