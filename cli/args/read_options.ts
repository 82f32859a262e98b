/**
 * Options of the commands that read images: their definitions, and their values as the library takes them. Opens no
 * file.
 *
 * @module
 */
import { allFormats, ImageError } from "../../mod.ts";
import type { DigestAlgorithm, ImageSpec, OpenDiskOptions, SyncMode } from "../../mod.ts";
import { type SourceImage, sourceImage } from "./image_opts.ts";
import type { OptionTree } from "./option_tree.ts";
import { isOn, listOf, textOf } from "./parse_args.ts";
import { formatOfOption, usageError } from "./usage.ts";
import type { ProgressForm, ProgressView } from "../progress/progress.ts";
import type { OptionDef, ParsedArgs } from "../commands/command.ts";

const WINDOWS = Deno.build.os === "windows";

/** Heading of {@linkcode readingOptions} in the help. */
export const READING = "Reading";

/** Heading of {@linkcode outputOption}, {@linkcode progressOptions} and {@linkcode permissionsOption} in the help. */
export const OUTPUT = "Output and permissions";

/** `--allow-ref`. */
export const allowRefOption: OptionDef = {
  long: "allow-ref",
  arg: "dir",
  repeats: true,
  group: READING,
  help: "files named by images (backing, data and extent files) may lie in this folder too; can be repeated",
};

/** `--object`, always refused. */
export const objectOption: OptionDef = {
  long: "object",
  arg: "definition",
  repeats: true,
  group: READING,
  help: "refused: there are no secrets or other objects yet",
};

/** `--force-device`. */
export const forceDeviceOption: OptionDef = {
  long: "force-device",
  group: READING,
  help: "write to a block device although it is mounted or otherwise in use: data on it is lost, the system may crash",
};

/** How images are opened. */
export const readingOptions: readonly OptionDef[] = [
  { long: "image-opts", group: READING, help: "images are descriptions: driver=...,file.filename=..." },
  { short: "U", long: "force-share", group: READING, help: "open images although others are writing to them" },
  allowRefOption,
  objectOption,
];

/** `-f`: the format of an image that is read. */
export const formatOption: OptionDef = {
  short: "f",
  long: "format",
  arg: "fmt",
  group: READING,
  help: "format of the image (default: probed)",
};

/** `-T`: the cache mode of reads, checked and without effect. */
export const cacheOption: OptionDef = {
  short: "T",
  long: "cache",
  arg: "mode",
  group: READING,
  help: "none, off, directsync, writeback, writethrough or unsafe; checked, but without effect on reads",
};

/** Changes of the logical sector size. */
export const sectorSizeOptions: readonly OptionDef[] = [
  {
    long: "convert-gpt",
    group: "Target",
    help: "write the partition table (GPT) anew, if the target has sectors of another size than it counts in",
  },
  {
    long: "allow-sector-size-change",
    group: "Target",
    help: "convert although the target has sectors of another size, by which a partition table or file system counts",
  },
];

/** `--output`. */
export const outputOption: OptionDef = {
  long: "output",
  arg: "form",
  group: OUTPUT,
  help: "human or json (default: human)",
};

/** `--print-permissions`. */
export const permissionsOption: OptionDef = {
  long: "print-permissions",
  group: OUTPUT,
  help: 'print the "deno run" command with just the permissions that the job needs, and do nothing else',
};

/** How progress is shown. */
export const progressOptions: readonly OptionDef[] = [
  {
    short: "p",
    group: OUTPUT,
    help: "progress as qemu-img shows it, on standard output; also --progress alone",
  },
  {
    long: "progress",
    arg: "form",
    aloneIs: "-p",
    group: OUTPUT,
    help:
      "--progress=auto, bar, plain, json or none, on standard error; auto (default): a bar on a terminal; elsewhere " +
      "a line after a second and then every ten; none: warnings and errors alone; json: one event per line",
  },
  { long: "ascii", group: OUTPUT, help: "progress with plain characters: no block letters, no arrows" },
  {
    long: "accessible",
    group: OUTPUT,
    help: "progress in sentences, one every half minute, nothing written over: for screen readers",
  },
  { short: "q", long: "quiet", group: OUTPUT, help: "only errors" },
];

/** Images to read, and the options to open them with. */
export interface ImagesToRead {
  readonly images: readonly ImageSpec[];
  readonly options: Pick<OpenDiskOptions, "allowRefs" | "forceShare">;
}

/**
 * Returns the images with the given names.
 *
 * @param formats The option that states the format of each image, and its value; the last one is for all further images.
 * @param describe Reads a description; default: that of a source.
 * @throws ImageError `usage`, or `unsupported` for `--object`
 */
export function imagesToRead(
  parsed: ParsedArgs,
  names: readonly string[],
  formats: readonly (readonly [option: string, format: string | undefined])[],
  describe?: (tree: OptionTree) => SourceImage,
): ImagesToRead {
  listOf(parsed, "object").forEach(refuseObject);
  const imageOpts = isOn(parsed, "image-opts");
  const sources = names.map((name, index) => {
    const [option, sourceFormat] = formats[Math.min(index, formats.length - 1)];
    if (sourceFormat !== undefined) {
      formatOfOption(sourceFormat, allFormats, option);
      if (imageOpts) {
        throw usageError(`Cannot use ${option} with --image-opts: write driver=FORMAT into the description instead`);
      }
    }
    return sourceImage(name, { imageOpts, sourceFormat }, allFormats, WINDOWS, describe);
  });
  const forceShare = isOn(parsed, "force-share") || sources.some((source) => source.forceShare === true);
  const allowRefs = listOf(parsed, "allow-ref");
  return {
    images: sources.map((source) => source.image),
    options: { ...(allowRefs.length > 0 && { allowRefs }), ...(forceShare && { forceShare }) },
  };
}

/**
 * Returns the image of a command that takes exactly one.
 *
 * @throws ImageError `usage`
 */
export function onlyImageToRead(parsed: ParsedArgs, command: string): ImagesToRead {
  return imagesToRead(parsed, [onlyFile(parsed, command)], [["-f", textOf(parsed, "format")]]);
}

/**
 * Returns the file of a command that takes exactly one.
 *
 * @throws ImageError `usage`
 */
export function onlyFile({ files }: ParsedArgs, command: string): string {
  if (files.length === 1) return files[0]!;
  const found = files.length === 0 ? "none is given" : `${files.length} are given`;
  throw usageError(`Cannot tell which image is meant: ${command} takes one, and ${found}`);
}

/**
 * Checks that no file is given to a command that takes none.
 *
 * @throws ImageError `usage`
 */
export function refuseFiles({ files }: ParsedArgs, command: string): void {
  if (files.length > 0) throw usageError(`Cannot use "${files[0]}": ${command} takes no files`);
}

const SYNC_OF_CACHE: { readonly [mode: string]: SyncMode } = {
  none: "finish",
  off: "finish",
  writeback: "finish",
  writethrough: "always",
  directsync: "always",
  unsafe: "never",
};

/**
 * Returns the sync mode that a cache mode stands for when it is given for a written image.
 *
 * @param option The option for the message.
 * @throws ImageError `usage`
 */
export function syncOfCache(mode: string, option: string): SyncMode {
  const sync = Object.hasOwn(SYNC_OF_CACHE, mode) ? SYNC_OF_CACHE[mode] : undefined;
  if (sync !== undefined) return sync;
  throw usageError(
    `Cannot use "${mode}" as the cache mode of ${option}: it must be ${Object.keys(SYNC_OF_CACHE).join(", ")}`,
  );
}

/**
 * Returns the sync mode of the cache option `name`, which messages call `short`; absent where it is not given.
 *
 * @throws ImageError `usage`
 */
export function syncOf(parsed: ParsedArgs, name: string, short: string): SyncMode | undefined {
  const mode = textOf(parsed, name);
  return mode === undefined ? undefined : syncOfCache(mode, short);
}

/** Throws for every `--object`. */
export function refuseObject(definition: string): never {
  const type = definition.split(",")[0]!.replace(/^qom-type=/, "");
  if (type === "secret") {
    throw new ImageError("unsupported", "Cannot use --object secret: encrypted images are not supported yet");
  }
  throw new ImageError("unsupported", `Cannot create an object of type "${type}": --object is not supported`);
}

/**
 * Returns the form that `--output` names; default: the first of `forms`.
 *
 * @param printed The noun for the message.
 * @throws ImageError `usage`
 */
export function outputForm<Form extends string>(parsed: ParsedArgs, forms: readonly Form[], printed = "result"): Form {
  const given = textOf(parsed, "output") ?? forms[0];
  const form = forms.find((one) => one === given);
  if (form !== undefined) return form;
  const rest = forms.slice(0, -1).join(", ");
  throw usageError(`Cannot write the ${printed} as "${given}": --output must be ${rest} or ${forms.at(-1)}`);
}

const PROGRESS_FORMS: readonly string[] = ["auto", "live", "screen", "bar", "plain", "json", "none"];

/**
 * Returns the form of progress that `--progress` and `-p` name.
 *
 * @throws ImageError `usage`
 */
export function progressForm(parsed: ParsedArgs): ProgressForm {
  const given = textOf(parsed, "progress");
  if (given === undefined) return isOn(parsed, "p") ? "qemu" : "auto";
  if (PROGRESS_FORMS.includes(given)) return given as ProgressForm;
  throw usageError(
    `Cannot show progress as "${given}": it must be ${PROGRESS_FORMS.join(", ")}; -p alone is the form of qemu-img`,
  );
}

/**
 * Returns how a command without a screen shows its progress: by `-p`, `--progress`, `--ascii`, `--accessible` and `-q`.
 *
 * @throws ImageError `usage`
 */
export function progressView(parsed: ParsedArgs): ProgressView {
  const given = progressForm(parsed);
  const form = given !== "live" ? given : isOn(parsed, "p") ? "qemu" : "auto";
  if (form === "screen") {
    throw usageError("Cannot show a screen: only convert has one; take bar, plain, json or none");
  }
  const quiet = isOn(parsed, "quiet");
  return {
    progress: quiet && form !== "json" ? "none" : form,
    ascii: isOn(parsed, "ascii"),
    accessible: isOn(parsed, "accessible"),
    quiet,
  };
}

/** Names of digests, in the order of the help. */
const DIGESTS: readonly DigestAlgorithm[] = ["sha256", "blocks-sha256"];

/**
 * Returns the digest with the given name.
 *
 * @throws ImageError `usage` where there is none
 */
export function digestAlgorithm(name: string, option: string): DigestAlgorithm {
  const found = DIGESTS.find((one) => one === name);
  if (found === undefined) {
    throw usageError(`Unknown digest "${name}" in ${option}: it must be ${DIGESTS.join(" or ")}`);
  }
  return found;
}
