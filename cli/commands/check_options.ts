/**
 * The options of `check`, as data.
 *
 * @module
 */
import { changingOptions } from "../args/edit_options.ts";
import {
  cacheOption,
  formatOption,
  outputOption,
  permissionsOption,
  progressOptions,
  READING,
  TELLING,
} from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

/** `check` as its help shows it. */
export const checkCommand: CommandDef = {
  name: "check",
  summary: "Check an image for contradictions and wasted space, and mend it",
  usage: "IMAGE",
  options: [
    formatOption,
    {
      short: "r",
      long: "repair",
      arg: "what",
      group: READING,
      help: "mend: leaks (give back wasted space) or all (also what contradicts itself)",
    },
    {
      short: "U",
      long: "force-share",
      group: READING,
      help: "check the image although others are writing to it; not with -r",
    },
    cacheOption,
    ...changingOptions,
    outputOption,
    ...progressOptions.filter(({ long }) => long !== "quiet"),
    { short: "q", long: "quiet", group: TELLING, help: "only errors, and the exit code" },
    permissionsOption,
  ],
  notes: `Exit codes: 0 nothing is wrong; 1 the check could not be completed; 2 the image contradicts itself; 3 space is
wasted, but no data is in danger; 63 images of this format have nothing to check.

Examples:
  diskcast check disk.qcow2
  diskcast check --output=json disk.qcow2
  diskcast check -r leaks disk.qcow2`,
};
