/**
 * The options of `plan`, as data: those of `convert`.
 *
 * @module
 */
import { convertCommand } from "./convert_options.ts";
import { outputOption } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `plan` as its help shows it. */
export const planCommand: CommandDef = {
  name: "plan",
  summary: "Tell what a conversion would do, and write nothing",
  usage: "SOURCE... TARGET",
  options: [...convertCommand.options, outputOption],
  notes:
    `Takes the words of "diskcast convert". Tells how the data of the source lies, what would be read and written, how
long the target would become and about how long it would take, and which files are touched. The sources are read, a few
megabytes of their data as well; the time assumes that the target is written as fast as the source is read.

Examples:
  diskcast plan -c -O qcow2 disk.vmdk disk.qcow2
  diskcast plan --output=json -O raw disk.qcow2 disk.raw`,
};
