/**
 * The options of `presets`, as data.
 *
 * @module
 */
import type { CommandDef } from "./command.ts";

/** `presets` as its help shows it. */
export const presetsCommand: CommandDef = {
  name: "presets",
  summary: "List the places where a disk can run, and what each of them takes",
  usage: "",
  options: [{ long: "output", arg: "form", help: "human (default) or json" }],
  notes: "Examples:\n  diskcast presets --output=json",
};
