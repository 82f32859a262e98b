/**
 * The arguments of `convert`, each value parsed and checked by itself. Pure.
 *
 * @module
 */
import { parseNumber, parseSize } from "../../mod.ts";
import type { DigestAlgorithm, SyncMode } from "../../mod.ts";
import { type ListItem, parseOptionLists } from "./option_list.ts";
import { isOn, listOf, textOf } from "./parse_args.ts";
import { digestAlgorithm, progressForm, refuseObject, syncOf } from "./read_options.ts";
import { usageError } from "./usage.ts";
import type { ProgressForm } from "../progress/progress.ts";
import type { ParsedArgs } from "../commands/command.ts";

/** The arguments with parsed values. Absent: not given. */
export interface ConvertFlags {
  readonly files: readonly string[];
  readonly sourceFormat: string | undefined;
  readonly targetFormat: string | undefined;
  /** Name of a destination. */
  readonly destination: string | undefined;
  readonly imageOpts: boolean;
  readonly targetImageOpts: boolean;
  readonly creation: readonly ListItem[];
  readonly snapshot: string | undefined;
  readonly backing: string | undefined;
  readonly backingFormat: string | undefined;
  readonly compress: boolean;
  readonly offload: boolean;
  /** Bytes; the guest size is rounded up to a multiple. */
  readonly round: number | undefined;
  readonly create: boolean;
  readonly targetIsZero: boolean;
  readonly sparseSize: number | undefined;
  readonly compressionLevel: number | undefined;
  readonly workers: number | undefined;
  /** Bytes per second. */
  readonly rateLimit: number | undefined;
  readonly sync: SyncMode | undefined;
  readonly salvage: boolean;
  readonly digest: DigestAlgorithm | undefined;
  readonly allowSectorSizeChange: boolean;
  readonly convertGpt: boolean;
  readonly bitmaps: boolean;
  readonly skipBroken: boolean;
  readonly forceShare: boolean;
  readonly forceDevice: boolean;
  readonly allowRefs: readonly string[];
  readonly quiet: boolean;
  readonly progress: ProgressForm;
  readonly withoutScreen?: ProgressForm;
  readonly ascii: boolean;
  readonly accessible: boolean;
  readonly noWait: boolean;
  readonly bell: boolean;
  readonly printPermissions: boolean;
}

/**
 * Parses every value; combinations of options are checked later.
 *
 * @throws ImageError `usage`, or `unsupported` for `--object`
 */
export function convertFlags(parsed: ParsedArgs): ConvertFlags {
  const text = (name: string) => textOf(parsed, name);
  const on = (name: string) => isOn(parsed, name);
  const parse = <T>(name: string, parser: (text: string) => T): T | undefined => {
    const given = text(name);
    return given === undefined ? undefined : parser(given);
  };
  listOf(parsed, "object").forEach(refuseObject);
  syncOf(parsed, "source-cache", "-T");
  return {
    files: parsed.files,
    sourceFormat: text("source-format"),
    targetFormat: text("target-format"),
    destination: text("for"),
    imageOpts: on("image-opts"),
    targetImageOpts: on("target-image-opts"),
    creation: parseOptionLists(listOf(parsed, "target-format-options")),
    snapshot: text("snapshot"),
    backing: text("backing"),
    backingFormat: text("backing-format"),
    compress: on("compress"),
    offload: on("copy-range-offloading"),
    round: parse("round", roundSize),
    create: !on("no-create"),
    targetIsZero: on("target-is-zero"),
    sparseSize: parse("sparse-size", sparseSize),
    compressionLevel: parse(
      "compression-level",
      (value) => parseNumber(value, "the level of --compression-level", 1, 22),
    ),
    workers: parse("parallel", (value) => parseNumber(value, "the number of -m", 1, 16)),
    rateLimit: parse("rate-limit", (value) => parseSize(value, "-r")),
    sync: syncOf(parsed, "target-cache", "-t"),
    salvage: on("salvage"),
    digest: parse("digest-algorithm", (value) => digestAlgorithm(value, "--digest-algorithm")) ??
      (on("digest") ? "sha256" : undefined),
    allowSectorSizeChange: on("allow-sector-size-change"),
    convertGpt: on("convert-gpt"),
    bitmaps: on("bitmaps"),
    skipBroken: on("skip-broken-bitmaps"),
    forceShare: on("force-share"),
    forceDevice: on("force-device"),
    allowRefs: listOf(parsed, "allow-ref"),
    quiet: on("quiet"),
    progress: progressForm(parsed),
    ...(isOn(parsed, "p") && { withoutScreen: "qemu" as const }),
    ascii: on("ascii"),
    accessible: on("accessible"),
    noWait: on("no-wait"),
    bell: on("bell"),
    printPermissions: on("print-permissions"),
  };
}

/** The largest value of -S in bytes. */
const MAX_SPARSE = 16 * 1024 ** 2;

function sparseSize(text: string): number {
  const size = parseSize(text, "-S");
  if (size <= MAX_SPARSE && size % 512 === 0) return size;
  throw usageError(
    `Cannot use "${text}" for -S: it must be a multiple of 512 up to ${MAX_SPARSE}, or 0 to write every byte`,
  );
}

function roundSize(text: string): number {
  const size = parseSize(text, "--round");
  if (size > 0 && size % 512 === 0) return size;
  throw usageError(`Cannot use "${text}" for --round: it must be a multiple of 512, such as 1M`);
}
