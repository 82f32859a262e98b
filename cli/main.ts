/**
 * The program: runs a command, cancels it on a signal, and ends the process with its exit code.
 *
 * @module
 */
import { usageError } from "./args/usage.ts";
import { commandNamed, commands, definitionOf, runNamed } from "./commands/mod.ts";
import { SIGNAL_EXIT } from "./exit_codes.ts";
import { commandLine, onSignals, STATUS_SIGNALS, withoutProgramName } from "./process.ts";
import { isCalledQemuImg, qemuVersion, readMode } from "./qemu_img_mode.ts";
import { diagnosticFor, diagnosticText, processIo, stackText, wantsDebug } from "./report/report.ts";
import type { Io } from "./report/report.ts";

const ABOUT = "Converts virtual disk images.";

/** Runs the program with the given arguments; returns the exit code. Never throws. */
export async function main(given: readonly string[], terminal: Io = processIo()): Promise<number> {
  const { args, asQemuImg } = readMode(withoutProgramName(given), terminal.asQemuImg);
  const io = asQemuImg ? { ...terminal, asQemuImg } : terminal;
  try {
    if (given.some((arg) => arg.includes("\ufffd"))) {
      const { refuseInvalidNames } = await import("./args/names.ts");
      refuseInvalidNames(given, terminal.commandLine ?? (() => null));
    }
    return await dispatch(args, io);
  } catch (error) {
    const command = commands.find((one) => one.name === args[0])?.name;
    io.err(diagnosticText(await diagnosticFor(error, { command, stage: "arguments" }, io)));
    if (wantsDebug()) io.err(stackText(error));
    return 1;
  }
}

/** Runs the program with the arguments of this process, and ends it. */
export async function run(): Promise<void> {
  // Without a listener, Deno opens its debugger on a port when SIGUSR1 comes. Jobs add listeners that report progress.
  onSignals(STATUS_SIGNALS, () => {});
  Deno.exit(await main(Deno.args, { ...processIo(), asQemuImg: isCalledQemuImg(), commandLine }));
}

async function dispatch(args: readonly string[], io: Io): Promise<number> {
  // Without arguments, a terminal gets the wizard.
  const opensWizard = args.length === 0 && io.errIsTerminal && io.inIsTerminal && !io.asQemuImg;
  const [first, ...rest] = opensWizard || await namesImages(args, io) ? ["wizard", ...args] : args;
  switch (first) {
    case undefined:
      throw usageError("Cannot tell what to do: no command is given");
    case "--version":
    case "-V": {
      const { default: config } = await import("../deno.json", { with: { type: "json" } });
      io.out(io.asQemuImg ? qemuVersion(config.version) : `diskcast ${config.version}\n`);
      return 0;
    }
    case "help":
    case "--help":
    case "-h":
      io.out(await help(rest[0], io));
      return 0;
    case "grants": {
      const { grantsOf } = await import("./grants.ts");
      io.out(`${JSON.stringify(await grantsOf(rest))}\n`);
      return 0;
    }
    case "complete":
      return await (await import("./commands/completions.ts")).runComplete(rest, commands, io);
  }
  const controller = new AbortController();
  const removeListeners = abortOnSignals(controller);
  try {
    return await runNamed(first, rest, { io, signal: controller.signal });
  } finally {
    removeListeners();
  }
}

/**
 * Returns whether the arguments are no command but files, for the wizard: `diskcast disk.vmdk`. A path that has no file
 * can be mended where questions can be asked; else it is a word without a meaning.
 */
async function namesImages(
  [first]: readonly string[],
  { asQemuImg, errIsTerminal, inIsTerminal }: Io,
): Promise<boolean> {
  if (first === undefined || asQemuImg || first.startsWith("-") || isCommand(first)) return false;
  const found = fileIs(first);
  if (found !== undefined && !(errIsTerminal && inIsTerminal)) return found;
  const { looksLikePath } = await import("./wizard/paths.ts");
  return found === true || looksLikePath(first);
}

function isCommand(word: string): boolean {
  return ["help", "complete", "grants"].includes(word) || commands.some(({ name }) => name === word);
}

/** Returns whether a file has this name; `undefined` without the permission to see that. */
function fileIs(path: string): boolean | undefined {
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return undefined;
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}

async function help(name: string | undefined, { asQemuImg }: Io): Promise<string> {
  const { commandHelp, programHelp } = await import("./args/help.ts");
  if (asQemuImg && name === undefined) return await (await import("./args/qemu_help.ts")).qemuHelp();
  return name === undefined ? programHelp(commands, ABOUT) : commandHelp(await definitionOf(commandNamed(name)));
}

/**
 * Cancels the job on the first signal, and ends the process on the second; returns a function that removes the
 * listeners.
 */
function abortOnSignals(controller: AbortController): () => void {
  // A write beyond the limit of `ulimit -f` then fails, instead of ending the process.
  const removeIgnored = onSignals(["SIGXFSZ"], () => {});
  const removeAborting = onSignals(Object.keys(SIGNAL_EXIT) as (keyof typeof SIGNAL_EXIT)[], (name) => {
    if (controller.signal.aborted) Deno.exit(SIGNAL_EXIT[name]);
    controller.abort(name);
  });
  return () => {
    removeIgnored();
    removeAborting();
  };
}
