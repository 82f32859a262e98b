/**
 * The options of `dd`, as data.
 *
 * @module
 */
import { formatOption, permissionsOption, progressOptions, readingOptions } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `dd` as its help shows it. */
export const ddCommand: CommandDef = {
  name: "dd",
  summary: "Copy a part of a disk, by blocks",
  usage: "if=IMAGE of=TARGET [bs=SIZE] [count=BLOCKS] [skip=BLOCKS]",
  options: [
    formatOption,
    { short: "O", long: "target-format", arg: "fmt", group: "Target", help: "format of the target (default: raw)" },
    ...readingOptions,
    ...progressOptions,
    permissionsOption,
  ],
  notes:
    `bs is the size of a block (default: 512), skip the blocks that are left out at the beginning, and count the blocks
that are copied after them (default: all). With qemu-img, count is where to stop, so that skip takes away from it; here
it is a number of blocks, as with dd. The target is always made anew; zeroes become holes.

Examples:
  diskcast dd if=disk.qcow2 of=mbr.raw bs=512 count=1
  diskcast dd -O qcow2 if=disk.raw of=part.qcow2 bs=1M skip=1 count=100`,
};
