/**
 * The options of `bench`, as data.
 *
 * @module
 */
import { formatOption, permissionsOption, readingOptions, TELLING } from "./reading_options.ts";
import type { CommandDef } from "./command_def.ts";

const READS = "Reads";

/** `bench` as its help shows it. */
export const benchCommand: CommandDef = {
  name: "bench",
  summary: "Tell how fast an image can be read",
  usage: "IMAGE",
  options: [
    { short: "c", long: "count", arg: "count", group: READS, help: "how many reads (default: 75000)" },
    { short: "d", long: "depth", arg: "depth", group: READS, help: "how many at once (default: 64)" },
    { short: "s", long: "buffer-size", arg: "size", group: READS, help: "bytes of each (default: 4096)" },
    {
      short: "S",
      long: "step-size",
      arg: "size",
      group: READS,
      help: "from the beginning of one to that of the next (default: the buffer size)",
    },
    { short: "o", long: "offset", arg: "offset", group: READS, help: "where the first begins (default: 0)" },
    { short: "w", long: "write", group: READS, help: "refused: an image is not written over" },
    formatOption,
    ...readingOptions,
    { short: "q", long: "quiet", group: TELLING, help: "no warnings" },
    permissionsOption,
  ],
  notes: `Examples:
  diskcast bench disk.qcow2
  diskcast bench -c 1000 -s 1M -d 4 disk.vmdk`,
};
