/**
 * The command `map`: the runs of a disk as a table, JSON or a picture.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";
import { ImageError, imageFiles, mapRuns, openDisk, parseSize } from "../../mod.ts";
import type { MapEntry } from "../../mod.ts";
import { themeOf } from "../../tui/theme.ts";
import { mapCommand } from "./map_options.ts";
import { addEntry, emptyPicture, pictureSvg, pictureText } from "../report/map_picture.ts";
import { isOn, outputForm, type Reading, readingOfOne, textOf, viewOf } from "../args/read_args.ts";
import { type Io, visible } from "../report/report.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

type Form = "human" | "json" | "svg" | "picture";

interface MapRequest extends Reading {
  readonly form: Form;
  readonly start: number;
  readonly length: number;
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): MapRequest {
  const form = outputForm(parsed, ["human", "json", "svg"]);
  if (isOn(parsed, "picture") && textOf(parsed, "output") !== undefined) {
    throw new ImageError("usage", "Cannot use --picture with --output: leave one out");
  }
  const [start, length] = [textOf(parsed, "start-offset"), textOf(parsed, "max-length")];
  return {
    ...readingOfOne(parsed, "map"),
    form: isOn(parsed, "picture") ? "picture" : form,
    start: start === undefined ? 0 : parseSize(start, "-s"),
    length: length === undefined ? Infinity : parseSize(length, "-l"),
    view: viewOf(parsed),
  };
}

/** Runs `map` with the words after its name; the result is the exit code. */
export function runMap(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand(
    {
      def: mapCommand,
      read: requestOf,
      files: ({ images, options }) => imageFiles(images, options),
      work,
    },
    args,
    context,
  );
}

/** Text is written in parts of about this length: a map may have millions of lines. */
const PART = 1 << 16;

function work(request: MapRequest, context: CommandContext): Promise<number> {
  const { form, images: [image], options, start, length } = request;
  const drawn = form === "svg" || form === "picture";
  return watch(
    { view: viewBeside(request.view, drawn), command: "map", label: "Mapping" },
    context,
    async (onEvent, telling) => {
      const { io, signal } = context;
      const entries = mapRuns(image, { ...options, start, length, onWarning: telling.warn, signal, onEvent });
      const end = () => telling.end({ ok: true, code: 0, summary: undefined });
      if (drawn) await draw(request, entries, io, end);
      else await list(request, entries, io, end);
      return 0;
    },
  );
}

/** A table that grows in the terminal is its own progress, and a bar in it would be in the way. */
function viewBeside(view: ProgressView, drawn: boolean): ProgressView {
  return drawn || view.progress !== "auto" || !Deno.stdout.isTerminal() ? view : { ...view, progress: "none" };
}

async function draw(request: MapRequest, entries: AsyncIterable<MapEntry>, io: Io, end: () => void): Promise<void> {
  const { form, images: [image], start, length } = request;
  const { size } = await sizeOf(request);
  const picture = emptyPicture(Math.min(start, size), Math.min(size, start + length));
  for await (const entry of entries) addEntry(picture, entry);
  const theme = themeOf({ ascii: io.plain, colour: !io.plain && Deno.stdout.isTerminal() });
  end();
  io.out(form === "svg" ? pictureSvg(picture, image.path) : pictureText(picture, io.columns(), theme));
}

async function list(request: MapRequest, entries: AsyncIterable<MapEntry>, io: Io, end: () => void): Promise<void> {
  const { form, images: [image], start } = request;
  let text = form === "json" ? "[" : row(["Offset", "Length", "Mapped to", "File"]);
  let count = 0;
  for await (const entry of entries) {
    text += form === "json" ? (count++ === 0 ? "" : ",\n") + entryJson(entry) : entryRow(entry, image.path);
    if (text.length < PART) continue;
    io.out(text);
    text = "";
    if (io.outHasLeft?.()) break;
  }
  if (form === "json") text += `${count === 0 ? entryJson({ ...NOTHING, start }) : ""}]\n`;
  end();
  io.out(text);
}

async function sizeOf({ images: [image], options }: MapRequest): Promise<{ size: number }> {
  await using disk = await openDisk(image, options);
  return { size: disk.size };
}

/** What stands for a map without entries, so that readers of the first one find it. */
const NOTHING: MapEntry = {
  start: 0,
  length: 0,
  depth: 0,
  present: false,
  zero: false,
  data: false,
  compressed: false,
};

/** An entry as qemu-img writes it. */
function entryJson({ start, length, depth, present, zero, data, compressed, offset }: MapEntry): string {
  const fields = { start, length, depth, present, zero, data, compressed, ...(offset !== undefined && { offset }) };
  return `{ ${Object.entries(fields).map(([name, value]) => `"${name}": ${value}`).join(", ")}}`;
}

/** A row of the table: data only. */
function entryRow({ start, length, zero, data, compressed, offset, file }: MapEntry, given: string): string {
  if (!data || zero) return "";
  const place = offset === undefined ? (compressed ? "compressed" : "unknown") : hex(offset);
  return row([hex(start), hex(length), place, file === undefined ? "" : visible(shownPath(file, given))]);
}

function row(cells: readonly string[]): string {
  return `${cells.map((cell, index) => index < 3 ? cell.padEnd(16) : cell).join("").trimEnd()}\n`;
}

function hex(value: number): string {
  return value === 0 ? "0" : `0x${value.toString(16)}`;
}

/** A file beside the image, or the image itself, as seen from where the user names the image. */
function shownPath(file: string, given: string): string {
  if (file === resolve(given)) return given;
  const folder = dirname(given);
  if (dirname(file) !== resolve(folder)) return file;
  return folder === "." ? basename(file) : join(folder, basename(file));
}
