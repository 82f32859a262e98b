/**
 * Options that commands share which change an image, as data.
 *
 * @module
 */
import { READING, readingOptions } from "./read_options.ts";
import type { OptionDef } from "../commands/command.ts";

/** How the image is opened: as for reading, but for `-U`, which each command has its own use for. */
export const changingOptions: readonly OptionDef[] = readingOptions.filter(({ long }) => long !== "force-share");

/** `-t`. */
export const changingCacheOption: OptionDef = {
  short: "t",
  long: "cache",
  arg: "mode",
  group: READING,
  help: "writethrough or directsync: on stable storage after every write; none, off, writeback (default) or unsafe: " +
    "where the order of a change needs it, and at the end",
};
