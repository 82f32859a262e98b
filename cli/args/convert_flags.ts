/**
 * The arguments of `convert`, each value read and checked by itself. Pure.
 *
 * @module
 */
import { ImageError, parseNumber, parseSize } from "../../mod.ts";
import type { SyncMode } from "../../mod.ts";
import { parseOptionLists } from "./option_list.ts";
import type { ListItem } from "./option_list.ts";
import type { ProgressForm } from "../progress/progress.ts";
import type { ParsedArgs } from "../commands/command.ts";

/** The arguments, every value read. Absent: not given. */
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
  /** Bytes that the disk is to be a whole multiple of. */
  readonly round: number | undefined;
  readonly create: boolean;
  readonly targetIsZero: boolean;
  readonly sparseSize: number | undefined;
  readonly compressionLevel: number | undefined;
  readonly workers: number | undefined;
  readonly rateLimit: number | undefined;
  readonly sync: SyncMode | undefined;
  readonly salvage: boolean;
  readonly digest: boolean;
  readonly bitmaps: boolean;
  readonly skipBroken: boolean;
  readonly forceShare: boolean;
  readonly allowRefs: readonly string[];
  readonly quiet: boolean;
  readonly progress: ProgressForm;
  readonly ascii: boolean;
  readonly accessible: boolean;
  readonly printPermissions: boolean;
}

const MAX_SPARSE = 16 * 1024 ** 2;

const SYNC_OF_CACHE: { readonly [mode: string]: SyncMode } = {
  none: "finish",
  off: "finish",
  writeback: "finish",
  writethrough: "always",
  directsync: "always",
  unsafe: "never",
};

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}

/**
 * What a cache mode means for writing.
 *
 * @throws ImageError `usage`
 */
export function cacheMode(text: string, option: string): SyncMode {
  const mode = Object.hasOwn(SYNC_OF_CACHE, text) ? SYNC_OF_CACHE[text] : undefined;
  if (mode !== undefined) return mode;
  throw usage(
    `Cannot use "${text}" as the cache mode of ${option}: it must be ${Object.keys(SYNC_OF_CACHE).join(", ")}`,
  );
}

function sparseSize(text: string): number {
  const size = parseSize(text, "-S");
  if (size <= MAX_SPARSE && size % 512 === 0) return size;
  throw usage(
    `Cannot use "${text}" for -S: it must be a multiple of 512 up to ${MAX_SPARSE}, or 0 to write every byte`,
  );
}

function roundSize(text: string): number {
  const size = parseSize(text, "--round");
  if (size > 0 && size % 512 === 0) return size;
  throw usage(`Cannot use "${text}" for --round: it must be a multiple of 512, such as 1M`);
}

const FORMS: readonly string[] = ["auto", "screen", "bar", "plain", "json", "none"];

/**
 * The form that `--progress` names.
 *
 * @throws ImageError `usage`
 */
export function progressForm(text: string): ProgressForm {
  if (FORMS.includes(text)) return text as ProgressForm;
  throw usage(`Cannot show progress as "${text}": it must be ${FORMS.join(", ")}; -p alone is the form of qemu-img`);
}

/** Every `--object` is refused. */
export function refuseObject(definition: string): never {
  const type = definition.split(",")[0]!.replace(/^qom-type=/, "");
  if (type === "secret") {
    throw new ImageError("unsupported", "Cannot use --object secret: encrypted images are not supported yet");
  }
  throw new ImageError("unsupported", `Cannot create an object of type "${type}": --object is not supported`);
}

/** Reads every value; contradictions between options are looked for later. */
export function flagsOf(parsed: ParsedArgs): ConvertFlags {
  const text = (name: string) => parsed.options[name] as string | undefined;
  const list = (name: string) => (parsed.options[name] ?? []) as readonly string[];
  const on = (name: string) => parsed.options[name] === true;
  const read = <T>(name: string, how: (text: string) => T): T | undefined => {
    const given = text(name);
    return given === undefined ? undefined : how(given);
  };
  list("object").forEach(refuseObject);
  read("source-cache", (mode) => cacheMode(mode, "-T"));
  return {
    files: parsed.files,
    sourceFormat: text("source-format"),
    targetFormat: text("target-format"),
    destination: text("for"),
    imageOpts: on("image-opts"),
    targetImageOpts: on("target-image-opts"),
    creation: parseOptionLists(list("target-format-options")),
    snapshot: text("snapshot"),
    backing: text("backing"),
    backingFormat: text("backing-format"),
    compress: on("compress"),
    offload: on("copy-range-offloading"),
    round: read("round", roundSize),
    create: !on("no-create"),
    targetIsZero: on("target-is-zero"),
    sparseSize: read("sparse-size", sparseSize),
    compressionLevel: read(
      "compression-level",
      (value) => parseNumber(value, "the level of --compression-level", 1, 22),
    ),
    workers: read("parallel", (value) => parseNumber(value, "the number of -m", 1, 16)),
    rateLimit: read("rate-limit", (value) => parseSize(value, "-r")),
    sync: read("target-cache", (mode) => cacheMode(mode, "-t")),
    salvage: on("salvage"),
    digest: on("digest"),
    bitmaps: on("bitmaps"),
    skipBroken: on("skip-broken-bitmaps"),
    forceShare: on("force-share"),
    allowRefs: list("allow-ref"),
    quiet: on("quiet"),
    progress: read("progress", progressForm) ?? (on("p") ? "qemu" : "auto"),
    ascii: on("ascii"),
    accessible: on("accessible"),
    printPermissions: on("print-permissions"),
  };
}
