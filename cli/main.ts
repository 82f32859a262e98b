/**
 * The program: picks the command, turns signals into an orderly end, and sets the exit code.
 *
 * @module
 */
import { ImageError } from "../mod.ts";
import { commandDefs, commands } from "./commands/mod.ts";
import { SIGNAL_EXIT } from "./exit_codes.ts";
import { nearest } from "./args/nearest.ts";
import { complaintOf, complaintText, processIo, stackText, wantsDebug } from "./report/report.ts";
import { onSignals } from "./process.ts";
import type { Command } from "./commands/command.ts";
import type { Io } from "./report/report.ts";

const ABOUT = "Converts virtual disk images.";

/** Ends the job on the first signal and the process on the second. Gives a function that takes the listeners away. */
function watchSignals(controller: AbortController): () => void {
  return onSignals(Object.keys(SIGNAL_EXIT) as (keyof typeof SIGNAL_EXIT)[], (name) => {
    if (controller.signal.aborted) Deno.exit(SIGNAL_EXIT[name]);
    controller.abort(name);
  });
}

async function help(name: string | undefined, io: Io): Promise<number> {
  const { commandHelp, programHelp } = await import("./args/help.ts");
  io.out(name === undefined ? programHelp(await commandDefs(), ABOUT) : commandHelp(await commandNamed(name).def()));
  return 0;
}

function commandNamed(name: string): Command {
  const command = commands.find((one) => one.name === name);
  if (command !== undefined) return command;
  const near = nearest(name, commands.map((one) => one.name));
  const what = name.startsWith("-") ? "option" : "command";
  throw new ImageError("usage", `Unknown ${what} "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
}

async function dispatch(args: readonly string[], io: Io): Promise<number> {
  // Whoever types nothing but the name, in a terminal, is asked.
  const [first, ...rest] = args.length === 0 && io.errIsTerminal && io.inIsTerminal ? ["wizard"] : args;
  if (first === "--version" || first === "-V") {
    const { default: config } = await import("../deno.json", { with: { type: "json" } });
    io.out(`diskcast ${config.version}\n`);
    return 0;
  }
  if (first === "help" || first === "--help" || first === "-h") return await help(rest[0], io);
  if (first === "complete") {
    return (await import("./commands/completions.ts")).runComplete(rest, await commandDefs(), io);
  }
  if (first === undefined) throw new ImageError("usage", "Cannot tell what to do: no command is given");
  const controller = new AbortController();
  const unwatch = watchSignals(controller);
  try {
    return await commandNamed(first).run(rest, { io, signal: controller.signal });
  } finally {
    unwatch();
  }
}

/** Runs the program with the given words; the result is the exit code. Never throws. */
export async function main(args: readonly string[], io: Io = processIo()): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    const command = commands.find((one) => one.name === args[0])?.name;
    io.err(complaintText(complaintOf(error, { command, stage: "words" })));
    if (wantsDebug()) io.err(stackText(error));
    return 1;
  }
}

/** Runs the program with the words of this process, and ends it. */
export async function run(): Promise<void> {
  Deno.exit(await main(Deno.args));
}
