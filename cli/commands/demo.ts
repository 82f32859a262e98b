/**
 * The command `demo`: converts a disk of its own, slowly enough to watch.
 *
 * @module
 */
import { convert, ImageError, parseSize } from "../../mod.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import { progressOptions } from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import { SIGNAL_EXIT } from "../exit_codes.ts";
import { programWords } from "../process.ts";
import { visible } from "../report/report.ts";
import { runNamed } from "./mod.ts";
import { runCommand } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

const MIB = 2 ** 20;
/** Bytes a second that are written; the conversion then takes about 15 seconds. */
const RATE = "3M";
/** Bytes of the disk, and of the data in it. */
const SIZE = 256 * MIB;
const DATA = 56 * MIB;

/** `demo`. */
export const demoCommand: LoadedCommand = {
  options: [
    {
      short: "r",
      long: "rate-limit",
      arg: "rate",
      help: `write at most this many bytes a second (default: ${RATE}); 0: as fast as possible`,
    },
    ...progressOptions.map((option) => ({ ...option, group: "Options" })),
  ],
  notes:
    `Makes a VMDK of 256 MiB in a new folder for temporary files: a partition table, data that compresses well and data
that does not, zeroes and holes. Converts it into a compressed qcow2 image, with the screen where the terminal can show
it, and removes the folder. Nothing else is read or written.

Examples:
  diskcast demo
  diskcast demo --progress=bar -r 10M`,
  run: (args, context) => runCommand({ read: demoRequest, work }, args, context),
};

interface DemoRequest {
  readonly rate: string;
  /** Options of `convert` for the progress. */
  readonly progress: readonly string[];
  readonly quiet: boolean;
}

function demoRequest(parsed: ParsedArgs): DemoRequest {
  if (parsed.files.length > 0) throw usageError(`Cannot use "${parsed.files[0]}": demo makes its own disk`);
  const rate = textOf(parsed, "rate-limit") ?? RATE;
  parseSize(rate, "-r");
  const form = isOn(parsed, "p") ? "-p" : `--progress=${textOf(parsed, "progress") ?? "live"}`;
  const switches = ["ascii", "accessible", "quiet"].filter((name) => isOn(parsed, name));
  return { rate, progress: [form, ...switches.map((name) => `--${name}`)], quiet: isOn(parsed, "quiet") };
}

async function work({ rate, progress, quiet }: DemoRequest, context: CommandContext): Promise<number> {
  const { io, signal } = context;
  const folder = await temporaryFolder();
  const remove = () => Deno.removeSync(folder, { recursive: true });
  // A second Ctrl-C ends the process at once.
  globalThis.addEventListener("unload", remove);
  try {
    if (!quiet) io.err(`Making a disk of ${SIZE / MIB} MiB with ${DATA / MIB} MiB of data in "${visible(folder)}"\n`);
    await makeImage(folder, signal);
    if (signal.aborted) return SIGNAL_EXIT[signal.reason as keyof typeof SIGNAL_EXIT];
    const limit = parseSize(rate, "-r") === 0 ? [] : ["-r", rate];
    const files = [`${folder}/server.vmdk`, `${folder}/server.qcow2`];
    const args = ["-c", ...limit, ...progress, "-f", "vmdk", "-O", "qcow2", ...files];
    return await runNamed("convert", args, context);
  } finally {
    globalThis.removeEventListener("unload", remove);
    remove();
    if (!quiet) {
      const wizard = [...programWords(), "wizard"].join(" ");
      io.err(`The folder of the demonstration is removed. "${wizard}" converts a disk of yours\n`);
    }
  }
}

/** Makes a folder for temporary files. Deno asks for the permission in a terminal, where it is not granted. */
async function temporaryFolder(): Promise<string> {
  try {
    return await Deno.makeTempDir({ prefix: "diskcast-demo-" });
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotCapable
      ? "it may not write there: add --allow-read and --allow-write"
      : `${cause}`;
    throw new ImageError("permission", `Cannot make a folder for temporary files: ${why}`, { cause });
  }
}

/** Makes `server.vmdk`: its tables state what is data, which a raw file states only where holes can be found. */
async function makeImage(folder: string, signal: AbortSignal): Promise<void> {
  const raw = { path: `${folder}/disk.raw`, format: "raw" };
  await makeDisk(raw.path, signal);
  if (signal.aborted) return;
  await convert({ sources: [raw], target: { path: `${folder}/server.vmdk`, format: "vmdk" }, sync: "never" }, {
    signal,
  });
  await Deno.remove(raw.path);
}

/** Writes the disk: every MiB of data has one of four kinds of content. */
async function makeDisk(path: string, signal: AbortSignal): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true });
  await file.truncate(SIZE);
  const write = async (bytes: Uint8Array, at: number) => {
    await file.seek(at, Deno.SeekMode.Start);
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
  };
  await write(partitionSector(), 0);
  for (const [index, at] of dataOffsets().entries()) {
    if (signal.aborted) return;
    await write(contentOf(index), at);
  }
}

/** The offsets of the data: stretches of 2 to 10 MiB, in all three partitions. */
function dataOffsets(): number[] {
  const offsets: number[] = [];
  for (let at = MIB, length = 2; offsets.length < DATA / MIB; at += (3 * length + 6) * MIB, length = length % 9 + 2) {
    for (let index = 0; index < length && offsets.length < DATA / MIB; index++) offsets.push(at + index * MIB);
  }
  return offsets;
}

/** One MiB: text, which compresses well; random bytes, which do not; half of each; or mostly zeroes. */
function contentOf(index: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MIB);
  const kind = index % 4;
  if (kind === 0 || kind === 2) {
    const line = new TextEncoder().encode(`${index}: the quick brown fox jumps over the lazy dog, and back again\n`);
    for (let at = 0; at + line.length <= MIB; at += line.length) bytes.set(line, at);
  }
  if (kind === 1 || kind === 2) fillRandom(kind === 1 ? bytes : bytes.subarray(MIB / 2));
  if (kind === 3) fillRandom(bytes.subarray(0, 128 * 1024));
  return bytes;
}

function fillRandom(bytes: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
}

/** A master boot record with three Linux partitions, from 1, 65 and 161 MiB on. */
function partitionSector(): Uint8Array<ArrayBuffer> {
  const sector = new Uint8Array(512);
  const view = new DataView(sector.buffer);
  const sectors = (mib: number) => mib * MIB / 512;
  for (const [index, [start, end]] of [[1, 65], [65, 161], [161, 256]].entries()) {
    const entry = 446 + 16 * index;
    sector[entry + 4] = 0x83;
    view.setUint32(entry + 8, sectors(start), true);
    view.setUint32(entry + 12, sectors(end - start), true);
  }
  sector.set([0x55, 0xaa], 510);
  return sector;
}
