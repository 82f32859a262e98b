/**
 * The options of `bitmap`, as data.
 *
 * @module
 */
import { changingOptions } from "../args/edit_options.ts";
import { formatOption, permissionsOption, progressOptions, READING } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `bitmap` as its help shows it. */
export const bitmapCommand: CommandDef = {
  name: "bitmap",
  summary: "Add, remove or change a persistent dirty bitmap of an image",
  usage: "IMAGE BITMAP",
  options: [
    formatOption,
    { long: "add", group: READING, help: "add the bitmap; it records from now on, unless --disable is given too" },
    { short: "g", long: "granularity", arg: "size", group: READING, help: "with --add: guest bytes of one bit" },
    { long: "remove", group: READING, help: "remove the bitmap" },
    { long: "clear", group: READING, help: "clear all its bits" },
    { long: "enable", group: READING, help: "let it record" },
    { long: "disable", group: READING, help: "let it record no longer" },
    {
      long: "merge",
      arg: "source",
      repeats: true,
      group: READING,
      help: "set what is set in this other bitmap; can be repeated",
    },
    { short: "b", long: "source-file", arg: "file", group: READING, help: "the image that has the bitmap of --merge" },
    { short: "F", long: "source-format", arg: "fmt", group: READING, help: "its format" },
    ...changingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `Several changes are made in the order in which they are given, and in one step: all of them, or none.

Examples:
  diskcast bitmap --add -g 64k disk.qcow2 backup
  diskcast bitmap --merge monday --merge tuesday disk.qcow2 week
  diskcast bitmap --remove disk.qcow2 backup`,
};
