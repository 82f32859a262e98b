/**
 * A command as data: what the parser, the help and the completion of names read.
 *
 * @module
 */
import type { Io } from "../report/report.ts";

/** One option. It has a long name, a short one, or both. */
export interface OptionDef {
  /** One letter. */
  readonly short?: string;
  /** Another letter for the same. */
  readonly alias?: string;
  /** Without the two hyphens. */
  readonly long?: string;
  /** Name of its value; absent for a switch. */
  readonly arg?: string;
  /** Every use adds a value. */
  readonly repeats?: boolean;
  /** What the long name means without `=value`: another option. Its value is never the next word. */
  readonly aloneIs?: string;
  /** For people. */
  readonly help: string;
  /** Heading in the help. */
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

/** What a command works with. */
export interface CommandContext {
  readonly io: Io;
  /** Raised by Ctrl-C and its like; the reason is the name of the signal. */
  readonly signal: AbortSignal;
}

/** A command of the program, as its help shows it. */
export interface CommandDef {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Its file arguments as the help shows them; empty: none. */
  readonly usage: string;
  readonly options: readonly OptionDef[];
  /** Text after the options in the help. */
  readonly notes?: string;
}

/** A command that can be run. */
export interface Command {
  /** As {@linkcode CommandDef} has it. */
  readonly name: string;
  /** Loads what the command says of itself. */
  readonly def: () => Promise<CommandDef>;
  /** Loads and runs it; the result is the exit code. `args` are the words after the command's name. */
  readonly run: (args: readonly string[], context: CommandContext) => Promise<number>;
}
