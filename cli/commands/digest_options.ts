/**
 * The options of `digest`, as data.
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

/** `digest` as its help shows it. */
export const digestCommand: CommandDef = {
  name: "digest",
  summary: "Print the SHA-256 of a virtual disk, whatever its format",
  usage: "IMAGE...",
  options: [
    { ...formatOption, help: "format of the images (default: found by looking)" },
    {
      short: "l",
      long: "snapshot",
      arg: "snapshot",
      group: READING,
      help: "the disk in this internal snapshot: ID or name, or snapshot.id=ID,snapshot.name=NAME",
    },
    {
      short: "m",
      long: "parallel",
      arg: "number",
      group: READING,
      help: "number of decompressing workers, 1 to 16 (default: one per processor)",
    },
    ...readingOptions,
    outputOption,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `The digest is that of the guest's bytes: images of the same disk in different formats have the same one, which is
also that of sha256sum for a raw image. What is known to be zero is not read. Formats with sectors round the length of a
disk up to 512 bytes; a raw image of another length has another digest than what was made of it.

Examples:
  diskcast digest disk.vmdk disk.qcow2
  diskcast digest -f raw --output=json disk.raw`,
};
