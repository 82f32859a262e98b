/**
 * The command `digest`.
 *
 * @module
 */
import { digest, type DigestAlgorithm, type DigestSummary, imageFiles, parseNumber } from "../../mod.ts";
import { parseSnapshot } from "../args/option_list.ts";
import { textOf } from "../args/parse_args.ts";
import {
  digestAlgorithm,
  formatOption,
  type ImagesToRead,
  imagesToRead,
  outputForm,
  outputOption,
  permissionsOption,
  progressOptions,
  progressView,
  READING,
  readingOptions,
} from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { digestLine } from "../report/results.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";
import { jsonText } from "../report/json.ts";

/** `digest`. */
export const digestCommand: LoadedCommand = {
  options: [
    { ...formatOption, help: "format of the images (default: probed)" },
    {
      short: "l",
      long: "snapshot",
      arg: "snapshot",
      group: READING,
      help: "the disk in this internal snapshot: ID or name, or snapshot.id=ID,snapshot.name=NAME",
    },
    {
      short: "m",
      long: "parallel",
      arg: "number",
      group: READING,
      help: "number of workers that decompress or hash, 1 to 16 (default: one per processor)",
    },
    {
      long: "algorithm",
      arg: "name",
      group: READING,
      help: "sha256 (default), or blocks-sha256: on all processors, and terabytes of zeroes take seconds",
    },
    ...readingOptions,
    outputOption,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `The digest is that of the guest's bytes: images of the same disk in different formats have the same one, which is
also that of sha256sum for a raw image. Zeroes that the metadata states are not read. Formats with sectors round the size
of a disk up to 512 bytes; a raw image of another size has another digest than an image converted from it.

SHA-256 must go through every byte, zeroes too, one after the other: 1 to 2 GB a second. --algorithm=blocks-sha256 is the
SHA-256 of a list: the SHA-256 of each block of 65,536 bytes (32 bytes each; the last block may be shorter), and then the
size of the disk as 8 bytes, the least significant first. The output names it: BLOCKS-SHA256 (file) = digest.

Examples:
  diskcast digest disk.vmdk disk.qcow2
  diskcast digest -f raw --output=json disk.raw
  diskcast digest --algorithm=blocks-sha256 huge.vhdx`,
  run: (args, context) =>
    runCommand(
      { read: digestRequest, files: ({ images, options }) => imageFiles(images, options), work },
      args,
      context,
    ),
};

interface DigestRequest extends ImagesToRead {
  readonly form: "human" | "json";
  readonly view: ProgressView;
  readonly workers: number | undefined;
  readonly algorithm: DigestAlgorithm;
}

function digestRequest(parsed: ParsedArgs): DigestRequest {
  if (parsed.files.length === 0) throw usageError("Cannot tell which image is meant: none is given");
  const { images, options } = imagesToRead(parsed, parsed.files, [["-f", textOf(parsed, "format")]]);
  const snapshot = textOf(parsed, "snapshot");
  const workers = textOf(parsed, "parallel");
  return {
    images: snapshot === undefined ? images : images.map((one) => ({ ...one, snapshot: parseSnapshot(snapshot) })),
    options,
    form: outputForm(parsed, ["human", "json"]),
    algorithm: digestAlgorithm(textOf(parsed, "algorithm") ?? "sha256", "--algorithm"),
    view: progressView(parsed),
    workers: workers === undefined ? undefined : parseNumber(workers, "the number of -m", 1, 16),
  };
}

async function work(
  { images, options, form, view, workers, algorithm }: DigestRequest,
  context: CommandContext,
): Promise<number> {
  const results: unknown[] = [];
  for (const image of images) {
    const code = await runJob({ view, label: "Hashing" }, context, async (hooks) => {
      const result = await digest(image, {
        ...options,
        ...hooks,
        algorithm,
        ...(workers !== undefined && { workers }),
      });
      if (form === "human") return { out: digestLine(result, image.path) };
      results.push(digestJson(result, image.path));
      return {};
    });
    if (code !== 0) return code;
  }
  if (form === "json") context.io.out(`${jsonText(results.length === 1 ? results[0] : results, 4)}\n`);
  return 0;
}

function digestJson(
  { sha256, blocksSha256, size, totals }: DigestSummary,
  filename: string,
): { [name: string]: unknown } {
  return {
    filename,
    "virtual-size": size,
    ...(sha256 === undefined ? { "blocks-sha256": blocksSha256 } : { sha256 }),
    "read": totals.data,
    "known-zero": totals.zero,
  };
}
