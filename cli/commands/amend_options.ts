/**
 * The options of `amend`, as data.
 *
 * @module
 */
import { changingCacheOption, changingOptions } from "../args/edit_options.ts";
import { formatOption, permissionsOption, progressOptions, READING } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `amend` as its help shows it. */
export const amendCommand: CommandDef = {
  name: "amend",
  summary: "Change options that were chosen when an image was created",
  usage: "IMAGE",
  options: [
    formatOption,
    {
      short: "o",
      long: "options",
      arg: "options",
      repeats: true,
      group: READING,
      help: 'key=value[,key=value...]; "-o help" with -f or an image lists them; can be repeated',
    },
    { long: "force", group: READING, help: "accepted; nothing that can be amended is dangerous" },
    changingCacheOption,
    ...changingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `Examples:
  diskcast amend -f qcow2 -o help
  diskcast amend -o compat=1.1,lazy_refcounts=on disk.qcow2
  diskcast amend -o refcount_bits=8 disk.qcow2`,
};
