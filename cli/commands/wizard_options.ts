/**
 * The options of `wizard`, as data.
 *
 * @module
 */
import type { CommandDef } from "./command.ts";

/** `wizard` as its help shows it. */
export const wizardCommand: CommandDef = {
  name: "wizard",
  summary: "Ask what is to be converted, show the plan and the command, and do it",
  usage: "[SOURCE]",
  options: [
    { long: "accessible", help: "numbered questions as plain lines, nothing is drawn; for screen readers" },
    { long: "ascii", help: "no characters beyond ASCII" },
  ],
  notes: `Only in a terminal; "diskcast" alone does the same. Esc goes back one question, Ctrl-C leaves.

Examples:
  diskcast wizard disk.vmdk`,
};
