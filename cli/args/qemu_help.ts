/**
 * The help of the program in the qemu-img mode: programs look in it for options, and for the list of formats.
 *
 * @module
 */
import { allFormats } from "../../mod.ts";
import { commands, definitionOf } from "../commands/mod.ts";
import type { CommandDef } from "../commands/command.ts";
import { qemuVersion } from "../qemu_img_mode.ts";

/** The commands of qemu-img, in its order. */
const NAMES = [
  "amend",
  "bench",
  "bitmap",
  "check",
  "commit",
  "compare",
  "convert",
  "create",
  "dd",
  "info",
  "map",
  "measure",
  "snapshot",
  "rebase",
  "resize",
];

/** Returns the help: one line for each command with all of its options, then the formats. */
export async function qemuHelp(): Promise<string> {
  const { default: config } = await import("../../deno.json", { with: { type: "json" } });
  const found = NAMES.flatMap((name) => commands.filter((command) => command.name === name));
  const lines = (await Promise.all(found.map(definitionOf))).map(syntax);
  return `${qemuVersion(config.version)}usage: qemu-img [standard options] command [command options]

    '-h', '--help'       display this help and exit
    '-V', '--version'    output version information and exit

Command syntax:
${lines.map((line) => `  ${line}\n`).join("")}
"qemu-img help COMMAND" explains the options of a command.

Supported formats: ${allFormats.map(({ name }) => name).toSorted().join(" ")}
`;
}

function syntax({ name, options, usage }: CommandDef): string {
  const terms = options.map(({ short, long, arg }) =>
    short !== undefined
      ? `[-${short}${arg === undefined ? "" : ` ${arg}`}]`
      : `[--${long}${arg === undefined ? "" : `=${arg}`}]`
  );
  return [name, ...terms, usage].join(" ").trimEnd();
}
