/**
 * The options of `rebase`, as data.
 *
 * @module
 */
import { changingCacheOption, changingOptions } from "../args/edit_options.ts";
import { cacheOption, formatOption, permissionsOption, progressOptions, READING } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `rebase` as its help shows it. */
export const rebaseCommand: CommandDef = {
  name: "rebase",
  summary: "Give an image another backing file, or none",
  usage: "IMAGE",
  options: [
    formatOption,
    {
      short: "b",
      long: "backing",
      arg: "file",
      group: READING,
      help: 'the new backing file, seen from the folder of the image; -b "" copies everything into the image',
    },
    { short: "F", alias: "B", long: "backing-format", arg: "fmt", group: READING, help: "format of the backing file" },
    { short: "u", long: "backing-unsafe", group: READING, help: "change the name alone, for a file that was moved" },
    { short: "c", long: "compress", group: READING, help: "compress what is copied into the image" },
    {
      long: "drop-identical",
      group: READING,
      help: "forget what the new backing file has as well, so that the image becomes smaller",
    },
    changingCacheOption,
    { ...cacheOption, long: "backing-cache" },
    {
      short: "U",
      long: "force-share",
      group: READING,
      help: "open backing files although others are writing to them",
    },
    ...changingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `The image has the same content before and after, at every moment. With -u nothing is compared: the new file must
hold what the old one held.

Examples:
  diskcast rebase -b base.qcow2 -F qcow2 overlay.qcow2
  diskcast rebase -b "" overlay.qcow2
  diskcast rebase -u -b moved/base.qcow2 -F qcow2 overlay.qcow2`,
};
