/**
 * The options of `commit`, as data.
 *
 * @module
 */
import { changingCacheOption, changingOptions } from "../args/edit_options.ts";
import { formatOption, permissionsOption, progressOptions, READING } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `commit` as its help shows it. */
export const commitCommand: CommandDef = {
  name: "commit",
  summary: "Write what an image holds into the file beneath it",
  usage: "IMAGE",
  options: [
    formatOption,
    {
      short: "b",
      long: "base",
      arg: "file",
      group: READING,
      help: "write into this file of the chain (default: the one beneath the image); the image is not emptied then",
    },
    { short: "d", long: "drop", group: READING, help: "drop the emptying of the image afterwards: it stays as it is" },
    { short: "r", long: "rate-limit", arg: "rate", group: READING, help: "write at most this many bytes a second" },
    changingCacheOption,
    ...changingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `The image shows the same content before and after, at every moment. Whatever else lies over the same base shows
something else afterwards.

Examples:
  diskcast commit -p overlay.qcow2
  diskcast commit -d -b base.qcow2 top.qcow2`,
};
