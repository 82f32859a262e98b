/**
 * The options of `formats`, as data.
 *
 * @module
 */
import type { CommandDef } from "./command.ts";

/** `formats` as its help shows it. */
export const formatsCommand: CommandDef = {
  name: "formats",
  summary: "List the image formats and what they can do",
  usage: "",
  options: [{ long: "output", arg: "form", help: "human (default) or json" }],
  notes: "Examples:\n  diskcast formats --output=json",
};
