/**
 * The table of commands. It holds all that the help of the program and the completion of command names need; the file
 * of a command is imported when the command is run, explained or completed.
 *
 * @module
 */
import { nearest, usageError } from "../args/usage.ts";
import type { Command, CommandContext, CommandDef } from "./command.ts";

/** In the order of the help. */
export const commands: readonly Command[] = [
  {
    name: "convert",
    summary: "Convert a disk image into another format",
    usage: "SOURCE... TARGET",
    load: async () => (await import("./convert.ts")).convertCommand,
  },
  {
    name: "formats",
    summary: "List the image formats and what they can do",
    usage: "",
    load: async () => (await import("./formats.ts")).formatsCommand,
  },
  {
    name: "devices",
    summary: "List the disks of this machine, and whether they are in use",
    usage: "",
    load: async () => (await import("./devices.ts")).devicesCommand,
  },
  {
    name: "presets",
    summary: "List the destinations of convert --for, and what each of them takes",
    usage: "",
    load: async () => (await import("./presets.ts")).presetsCommand,
  },
  {
    name: "wizard",
    summary: "Ask what is to be converted, show the plan and the command, and do it",
    usage: "[SOURCE...]",
    load: async () => (await import("./wizard.ts")).wizardCommand,
  },
  {
    name: "demo",
    summary: "Make a disk in a temporary folder, convert it slowly, and remove it",
    usage: "",
    load: async () => (await import("./demo.ts")).demoCommand,
  },
  {
    name: "completions",
    summary: "Print what a shell needs to complete commands, options and their values",
    usage: "bash|zsh|fish|powershell",
    load: async () => (await import("./completions.ts")).completionsCommand,
  },
  {
    name: "info",
    summary: "Show the metadata of an image, and which files it names",
    usage: "IMAGE",
    load: async () => (await import("./info.ts")).infoCommand,
  },
  {
    name: "map",
    summary: "Show which layer holds each part of a disk, and where in its file",
    usage: "IMAGE",
    load: async () => (await import("./map.ts")).mapCommand,
  },
  {
    name: "compare",
    summary: "Compare the guest data of two images",
    usage: "IMAGE1 IMAGE2",
    load: async () => (await import("./compare.ts")).compareCommand,
  },
  {
    name: "digest",
    summary: "Print the SHA-256 of a virtual disk, whatever its format",
    usage: "IMAGE...",
    load: async () => (await import("./digest.ts")).digestCommand,
  },
  {
    name: "check",
    summary: "Check an image for corruption and leaked space, and repair it",
    usage: "IMAGE",
    load: async () => (await import("./check.ts")).checkCommand,
  },
  {
    name: "measure",
    summary: "Show how much space an image takes in another format",
    usage: "[IMAGE]",
    load: async () => (await import("./measure.ts")).measureCommand,
  },
  {
    name: "create",
    summary: "Create an empty image, or one over a backing file",
    usage: "IMAGE [SIZE]",
    load: async () => (await import("./create.ts")).createCommand,
  },
  {
    name: "resize",
    summary: "Change the size of the disk in an image",
    usage: "IMAGE [+|-]SIZE",
    load: async () => (await import("./resize.ts")).resizeCommand,
  },
  {
    name: "snapshot",
    summary: "List, take, load or remove the internal snapshots of an image",
    usage: "IMAGE",
    load: async () => (await import("./snapshot.ts")).snapshotCommand,
  },
  {
    name: "plan",
    summary: "Show what a conversion would do, and write nothing",
    usage: "SOURCE... TARGET",
    load: async () => (await import("./plan.ts")).planCommand,
  },
  {
    name: "dd",
    summary: "Copy a part of a disk, by blocks",
    usage: "if=IMAGE of=TARGET [bs=SIZE] [count=BLOCKS] [skip=BLOCKS]",
    load: async () => (await import("./dd.ts")).ddCommand,
  },
  {
    name: "rebase",
    summary: "Give an image another backing file, or none",
    usage: "IMAGE",
    load: async () => (await import("./rebase.ts")).rebaseCommand,
  },
  {
    name: "commit",
    summary: "Write the data of an image into its backing file",
    usage: "IMAGE",
    load: async () => (await import("./commit.ts")).commitCommand,
  },
  {
    name: "bitmap",
    summary: "Add, remove or change a persistent dirty bitmap of an image",
    usage: "IMAGE BITMAP",
    load: async () => (await import("./bitmap.ts")).bitmapCommand,
  },
  {
    name: "bench",
    summary: "Measure how fast an image can be read or written",
    usage: "IMAGE",
    load: async () => (await import("./bench.ts")).benchCommand,
  },
  {
    name: "amend",
    summary: "Change options that were chosen when an image was created",
    usage: "IMAGE",
    load: async () => (await import("./amend.ts")).amendCommand,
  },
];

/**
 * Returns the command with the given name.
 *
 * @throws ImageError `usage`, with a suggestion, where there is none
 */
export function commandNamed(name: string): Command {
  const command = commands.find((one) => one.name === name);
  if (command !== undefined) return command;
  const near = nearest(name, commands.map((one) => one.name));
  const noun = name.startsWith("-") ? "option" : "command";
  throw usageError(`Unknown ${noun} "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
}

/** Loads the definition of a command. */
export async function definitionOf({ name, summary, usage, load }: Command): Promise<CommandDef> {
  return { name, summary, usage, ...await load() };
}

/** Loads the definitions of all commands. */
export async function commandDefs(): Promise<CommandDef[]> {
  return await Promise.all(commands.map(definitionOf));
}

/**
 * Runs a command with the arguments after its name; returns the exit code.
 *
 * @throws ImageError `usage` for an unknown name
 */
export async function runNamed(
  name: string,
  args: readonly string[],
  { io, signal }: Omit<CommandContext, "def">,
): Promise<number> {
  const command = commandNamed(name);
  const { run } = await command.load();
  return await run(args, { def: await definitionOf(command), io, signal });
}
