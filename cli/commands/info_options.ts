/**
 * The options of `info`, as data.
 *
 * @module
 */
import { formatOption, outputOption, permissionsOption, READING, readingOptions } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `info` as its help shows it. */
export const infoCommand: CommandDef = {
  name: "info",
  summary: "Tell what an image says of itself, and which files it names",
  usage: "IMAGE",
  options: [
    formatOption,
    { long: "backing-chain", group: READING, help: "open what is beneath as well, and tell of every image" },
    ...readingOptions,
    outputOption,
    permissionsOption,
  ],
  notes: `Without --backing-chain only the image itself is opened. Of every file that it names is told whether it is
there and may be opened: inside the folder of the image, or in a folder of --allow-ref.

Examples:
  diskcast info disk.qcow2
  diskcast info --backing-chain --output=json overlay.qcow2`,
};
