/**
 * The options of `resize`, as data.
 *
 * @module
 */
import { changingOptions } from "../args/edit_options.ts";
import { formatOption, permissionsOption, progressOptions, READING } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `resize` as its help shows it. */
export const resizeCommand: CommandDef = {
  name: "resize",
  summary: "Change the size of the disk in an image",
  usage: "IMAGE [+|-]SIZE",
  options: [
    formatOption,
    { long: "shrink", group: READING, help: "the disk may become shorter; what lies at its end is lost" },
    {
      long: "preallocation",
      arg: "mode",
      group: READING,
      help: "what to allocate for the new end: off (default), metadata, falloc or full",
    },
    ...changingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes: `SIZE takes the suffixes k, M, G, T, P and E (powers of 1024). With + or - it is by how much the size changes.
Partitions and file systems in the disk stay as they are: shrink them before the disk, grow them after it.
--preallocation=metadata gives all that is new its place in the file and takes no space from the host; falloc reserves
the space, full writes zeroes into it. Where blocks have their places in any case (raw, flat VMDK, fixed VHDX and VHD,
static VDI), metadata is refused.

Examples:
  diskcast resize disk.qcow2 +10G
  diskcast resize -f raw disk.raw 20G
  diskcast resize --shrink disk.qcow2 5G`,
};
