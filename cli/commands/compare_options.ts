/**
 * The options of `compare`, as data.
 *
 * @module
 */
import { cacheOption, permissionsOption, progressOptions, READING, readingOptions } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `compare` as its help shows it. */
export const compareCommand: CommandDef = {
  name: "compare",
  summary: "Tell whether two images hold the same disk",
  usage: "IMAGE1 IMAGE2",
  options: [
    {
      short: "f",
      long: "a-format",
      arg: "fmt",
      group: READING,
      help: "format of the first image (default: found by looking)",
    },
    {
      short: "F",
      long: "b-format",
      arg: "fmt",
      group: READING,
      help: "format of the second image (default: found by looking)",
    },
    {
      short: "s",
      long: "strict",
      group: READING,
      help: "sizes, and what is data, zero or not there, must be equal as well",
    },
    ...readingOptions,
    cacheOption,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `What both images know to be zero is not read. A longer image is the same if the rest of it is zero.

Exit codes: 0 the same, 1 different (or wrong options), 2 an image cannot be opened, 3 its status cannot be found out,
4 its data cannot be read.

Examples:
  diskcast compare disk.vmdk disk.qcow2
  diskcast compare -f raw -F qcow2 --progress=bar disk.raw disk.qcow2`,
};
