/**
 * The options of `map`, as data.
 *
 * @module
 */
import {
  formatOption,
  permissionsOption,
  progressOptions,
  READING,
  readingOptions,
  TELLING,
} from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `map` as its help shows it. */
export const mapCommand: CommandDef = {
  name: "map",
  summary: "Tell which layer holds every part of a disk, and where in its file",
  usage: "IMAGE",
  options: [
    formatOption,
    { short: "s", long: "start-offset", arg: "offset", group: READING, help: "begin at this guest byte (default: 0)" },
    { short: "l", long: "max-length", arg: "length", group: READING, help: "guest bytes at most (default: all)" },
    ...readingOptions,
    { long: "output", arg: "form", group: TELLING, help: "human, json, or svg for a picture (default: human)" },
    { long: "picture", group: TELLING, help: "draw the map in the terminal" },
    ...progressOptions,
    permissionsOption,
  ],
  notes: `The table lists data only. JSON lists every part: "depth" counts the layers from the top (0), "present" says
that the layer itself states it, "data" and "zero" what it reads as, "compressed" how it lies, and "offset" where in the
file; there is none for what is compressed.

Examples:
  diskcast map disk.qcow2
  diskcast map --output=json -s 1G -l 64M disk.qcow2
  diskcast map --picture disk.qcow2
  diskcast map --output=svg disk.qcow2 > disk.svg`,
};
