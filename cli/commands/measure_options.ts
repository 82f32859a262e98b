/**
 * The options of `measure`, as data.
 *
 * @module
 */
import {
  formatOption,
  outputOption,
  permissionsOption,
  progressOptions,
  READING,
  readingOptions,
} from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

const TARGET = "Target";

/** `measure` as its help shows it. */
export const measureCommand: CommandDef = {
  name: "measure",
  summary: "Tell how much space an image takes in another format",
  usage: "[IMAGE]",
  options: [
    formatOption,
    {
      short: "l",
      long: "snapshot",
      arg: "snapshot",
      group: READING,
      help: "measure this internal snapshot: ID or name, or snapshot.id=ID,snapshot.name=NAME",
    },
    {
      short: "s",
      long: "size",
      arg: "size",
      group: READING,
      help: "measure a new image of this size, instead of an image",
    },
    ...readingOptions,
    { short: "O", long: "target-format", arg: "fmt", group: TARGET, help: "format of the target (default: raw)" },
    {
      short: "o",
      long: "target-format-options",
      arg: "options",
      repeats: true,
      group: TARGET,
      help: 'key=value[,key=value...] for the target; "-o help" lists them; can be repeated',
    },
    { short: "c", long: "compress", group: TARGET, help: "the data is compressed: samples of it tell how well" },
    outputOption,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `"Required" counts what is data now, "fully allocated" a disk full of data. Zeroes that a conversion would only find
while copying count as data. With -c some megabytes of the data are read and compressed; what "required" may be
wrong by, in bytes, is told besides (JSON: "required-error"): about two times the standard error.

Examples:
  diskcast measure -O qcow2 disk.raw
  diskcast measure -O qcow2 -o cluster_size=2M --size 1T
  diskcast measure --output=json -O vmdk disk.qcow2
  diskcast measure -c -O qcow2 -o compression_type=zstd disk.raw`,
};
