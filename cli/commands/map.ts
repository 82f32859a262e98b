/**
 * The command `map`: the extents of a disk as a table, as JSON or as a picture.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";
import { imageFiles, mapExtents, openDisk, parseSize } from "../../mod.ts";
import type { MapEntry } from "../../mod.ts";
import { themeOf } from "../../tui/theme.ts";
import { isOn, textOf } from "../args/parse_args.ts";
import {
  formatOption,
  type ImagesToRead,
  onlyImageToRead,
  OUTPUT,
  outputForm,
  permissionsOption,
  progressOptions,
  progressView,
  READING,
  readingOptions,
} from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { addEntry, emptyPicture, pictureSvg, pictureText } from "../report/map_picture.ts";
import { type Io, visible } from "../report/report.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `map`. */
export const mapCommand: LoadedCommand = {
  options: [
    formatOption,
    {
      short: "s",
      long: "start-offset",
      arg: "offset",
      group: READING,
      help: "begin at this guest offset (default: 0)",
    },
    { short: "l", long: "max-length", arg: "length", group: READING, help: "guest bytes at most (default: all)" },
    ...readingOptions,
    { long: "output", arg: "form", group: OUTPUT, help: "human, json, or svg for a picture (default: human)" },
    { long: "picture", group: OUTPUT, help: "draw the map in the terminal" },
    ...progressOptions,
    permissionsOption,
  ],
  notes: `The table lists data only. JSON lists every extent: "depth" counts the layers from the top (0); "present" says
whether that layer itself allocates it; "data" and "zero" say how it reads, "compressed" how it is stored; "offset" is the
file offset, absent for compressed data.

Examples:
  diskcast map disk.qcow2
  diskcast map --output=json -s 1G -l 64M disk.qcow2
  diskcast map --picture disk.qcow2
  diskcast map --output=svg disk.qcow2 > disk.svg`,
  run: (args, context) =>
    runCommand(
      { read: mapRequest, files: ({ images, options }) => imageFiles(images, options), work },
      args,
      context,
    ),
};

interface MapRequest extends ImagesToRead {
  readonly form: "human" | "json" | "svg" | "picture";
  /** Guest offset and length in bytes. */
  readonly start: number;
  readonly length: number;
  readonly view: ProgressView;
}

function mapRequest(parsed: ParsedArgs): MapRequest {
  const form = outputForm(parsed, ["human", "json", "svg"]);
  if (isOn(parsed, "picture") && textOf(parsed, "output") !== undefined) {
    throw usageError("Cannot use --picture with --output: leave one out");
  }
  const [start, length] = [textOf(parsed, "start-offset"), textOf(parsed, "max-length")];
  return {
    ...onlyImageToRead(parsed, "map"),
    form: isOn(parsed, "picture") ? "picture" : form,
    start: start === undefined ? 0 : parseSize(start, "-s"),
    length: length === undefined ? Infinity : parseSize(length, "-l"),
    view: progressView(parsed),
  };
}

function work(request: MapRequest, context: CommandContext): Promise<number> {
  const { form, images: [image], options, start, length } = request;
  const drawn = form === "svg" || form === "picture";
  return runJob({ view: viewBeside(request.view, drawn), label: "Mapping" }, context, async (hooks) => {
    const entries = mapExtents(image, { ...options, start, length, ...hooks });
    return { out: await (drawn ? draw : list)(request, entries, context.io) };
  });
}

/** Hides a bar that would be drawn over a table which grows in the same terminal. */
function viewBeside(view: ProgressView, drawn: boolean): ProgressView {
  return drawn || view.progress !== "auto" || !Deno.stdout.isTerminal() ? view : { ...view, progress: "none" };
}

async function draw(request: MapRequest, entries: AsyncIterable<MapEntry>, io: Io): Promise<string> {
  const { form, images: [image], options, start, length } = request;
  const size = await guestSize(image!, options);
  const picture = emptyPicture(Math.min(start, size), Math.min(size, start + length));
  for await (const entry of entries) addEntry(picture, entry);
  const theme = themeOf({ ascii: io.plain, depth: !io.plain && Deno.stdout.isTerminal() ? 16 : 0 });
  return form === "svg" ? pictureSvg(picture, image!.path) : pictureText(picture, io.columns(), theme);
}

async function guestSize(...[image, options]: Parameters<typeof openDisk>): Promise<number> {
  await using disk = await openDisk(image, options);
  return disk.size;
}

/** Characters after which a part of the list is printed: a map may have millions of lines. */
const PRINTED_AT_ONCE = 1 << 16;

/** Prints the list, but for its last part, which it returns. */
async function list(request: MapRequest, entries: AsyncIterable<MapEntry>, io: Io): Promise<string> {
  const { form, images: [image], start } = request;
  let text = form === "json" ? "[" : row(["Offset", "Length", "Mapped to", "File"]);
  let count = 0;
  for await (const entry of entries) {
    text += form === "json" ? (count++ === 0 ? "" : ",\n") + entryJson(entry) : entryRow(entry, image!.path);
    if (text.length < PRINTED_AT_ONCE) continue;
    io.out(text);
    text = "";
    if (io.outIsClosed?.()) break;
  }
  return form === "json" ? `${text}${count === 0 ? entryJson({ ...NO_ENTRY, start }) : ""}]\n` : text;
}

/** The only entry of an empty map, as with qemu-img. */
const NO_ENTRY: MapEntry = {
  start: 0,
  length: 0,
  depth: 0,
  present: false,
  zero: false,
  data: false,
  compressed: false,
};

/** Returns an entry as qemu-img writes it. */
function entryJson({ start, length, depth, present, zero, data, compressed, offset }: MapEntry): string {
  const fields = { start, length, depth, present, zero, data, compressed, ...(offset !== undefined && { offset }) };
  return `{ ${Object.entries(fields).map(([name, value]) => `"${name}": ${value}`).join(", ")}}`;
}

/** Returns the row of an entry; empty where it is not data. */
function entryRow({ start, length, zero, data, compressed, offset, file }: MapEntry, imagePath: string): string {
  if (!data || zero) return "";
  const location = offset === undefined ? (compressed ? "compressed" : "unknown") : hex(offset);
  return row([hex(start), hex(length), location, file === undefined ? "" : visible(shownPath(file, imagePath))]);
}

function row(cells: readonly string[]): string {
  return `${cells.map((cell, index) => index < 3 ? cell.padEnd(16) : cell).join("").trimEnd()}\n`;
}

function hex(value: number): string {
  return value === 0 ? "0" : `0x${value.toString(16)}`;
}

/** Returns the path of a file in the folder of the image in the form in which the user gave that of the image. */
function shownPath(file: string, imagePath: string): string {
  if (file === resolve(imagePath)) return imagePath;
  const folder = dirname(imagePath);
  if (dirname(file) !== resolve(folder)) return file;
  return folder === "." ? basename(file) : join(folder, basename(file));
}
