/**
 * A command as data, for the argument reader, the help and the completion.
 *
 * @module
 */
import type { Io } from "../report/report.ts";

/** One option. It has a long name, a short one, or both. */
export interface OptionDef {
  /** One letter. */
  readonly short?: string;
  /** Another letter for the same option, absent from the help. */
  readonly alias?: string;
  /** Without the two hyphens. */
  readonly long?: string;
  /** Name of its value; absent for a switch. The same name stands for the same type of value in every command. */
  readonly arg?: string;
  /** Every use adds a value. */
  readonly repeats?: boolean;
  /** Another option, which the long name without `=value` stands for. The next argument is never its value. */
  readonly aloneIs?: string;
  /** Its line in the help. */
  readonly help: string;
  /** Its heading in the help. */
  readonly group?: string;
}

/** Arguments as read. Options have their long name, or the short one where they have no long one. */
export interface ParsedArgs {
  readonly options: {
    readonly [name: string]: string | true | readonly string[] | undefined;
  };
  /** The names of the options, in the order of the arguments, each as often as it is given. */
  readonly order: readonly string[];
  readonly files: readonly string[];
}

/** A command's line in the help of the program. */
export interface CommandSummary {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Its file arguments as the help shows them; empty: none. */
  readonly usage: string;
}

/** A command as its own help shows it. */
export interface CommandDef extends CommandSummary {
  readonly options: readonly OptionDef[];
  /** The values of its argument, where that is not a file. */
  readonly choices?: readonly string[];
  /** Text after the options in the help. */
  readonly notes?: string;
}

/** The environment that a command runs in. */
export interface CommandContext {
  readonly def: CommandDef;
  readonly io: Io;
  /** Aborted by SIGINT, SIGTERM or SIGHUP; the reason is the name of the signal. */
  readonly signal: AbortSignal;
}

/** The part of a command that its own file adds to its summary. */
export interface LoadedCommand extends Omit<CommandDef, keyof CommandSummary> {
  /** Runs the command with the arguments after its name; returns the exit code. */
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

/** A command in the table of commands. */
export interface Command extends CommandSummary {
  /** Imports the file of the command. */
  load(): Promise<LoadedCommand>;
}
