/**
 * The options of `bench`, as data.
 *
 * @module
 */
import { changingCacheOption } from "../args/edit_options.ts";
import { formatOption, permissionsOption, progressOptions, readingOptions } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

const REQUESTS = "Requests";

/** `bench` as its help shows it. */
export const benchCommand: CommandDef = {
  name: "bench",
  summary: "Tell how fast an image can be read or written",
  usage: "IMAGE",
  options: [
    { short: "c", long: "count", arg: "count", group: REQUESTS, help: "how many (default: 75000)" },
    { short: "d", long: "depth", arg: "depth", group: REQUESTS, help: "how many reads at once (default: 64)" },
    { short: "s", long: "buffer-size", arg: "size", group: REQUESTS, help: "bytes of each (default: 4096)" },
    {
      short: "S",
      long: "step-size",
      arg: "size",
      group: REQUESTS,
      help: "from the beginning of one to that of the next (default: the buffer size)",
    },
    { short: "o", long: "offset", arg: "offset", group: REQUESTS, help: "where the first begins (default: 0)" },
    {
      short: "w",
      long: "write",
      group: REQUESTS,
      help: "write instead of reading: what the image holds there is lost",
    },
    { long: "pattern", arg: "byte", group: REQUESTS, help: "with -w: the byte to write, 0 to 255 (default: 0)" },
    {
      long: "flush-interval",
      arg: "count",
      group: REQUESTS,
      help: "with -w: sync the file after so many writes, at least as many as -d says (default: never)",
    },
    { long: "no-drain", group: REQUESTS, help: "with --flush-interval: write on while the file is synced" },
    {
      short: "i",
      long: "aio",
      arg: "kind",
      group: REQUESTS,
      help: "threads (default); native and io_uring are refused, there is no such access here",
    },
    {
      short: "n",
      long: "native",
      group: REQUESTS,
      help: "as -i native where it is possible: never here, with a warning",
    },
    formatOption,
    ...readingOptions.map((one) => one.long === "force-share" ? { ...one, help: `${one.help}; not with -w` } : one),
    { ...changingCacheOption, help: `with -w: ${changingCacheOption.help}` },
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `Past the end of the disk the requests go on at its beginning. Reads go through the cache of the system, and are
spread over -d requests at once; writes are made one after another, because images are written so, whatever -d says. The
time of -w holds the writing of the tables, too, and not the last sync.

Examples:
  diskcast bench disk.qcow2
  diskcast bench -c 1000 -s 1M -d 4 disk.vmdk
  diskcast bench -w --pattern=255 -c 1000 --flush-interval=100 scratch.qcow2`,
};
