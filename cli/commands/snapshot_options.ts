/**
 * The options of `snapshot`, as data.
 *
 * @module
 */
import { changingOptions } from "../args/edit_options.ts";
import { formatOption, permissionsOption, progressOptions, READING } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `snapshot` as its help shows it. */
export const snapshotCommand: CommandDef = {
  name: "snapshot",
  summary: "List, take, load or remove the internal snapshots of an image",
  usage: "IMAGE",
  options: [
    formatOption,
    { short: "l", long: "list", group: READING, help: "list the snapshots (default)" },
    { short: "c", long: "create", arg: "name", group: READING, help: "take a snapshot of the disk as it is" },
    {
      short: "a",
      long: "apply",
      arg: "snapshot",
      group: READING,
      help: "make the disk what it was at this snapshot: ID or name; what it is now is lost",
    },
    { short: "d", long: "delete", arg: "snapshot", group: READING, help: "remove this snapshot: ID or name" },
    { short: "U", long: "force-share", group: READING, help: "with -l: list although others are writing to the image" },
    ...changingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `Examples:
  diskcast snapshot disk.qcow2
  diskcast snapshot -c before-upgrade disk.qcow2
  diskcast snapshot -a before-upgrade disk.qcow2
  diskcast snapshot -d before-upgrade disk.qcow2`,
};
