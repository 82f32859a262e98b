/**
 * The one file that imports commander: definitions become a parser, its errors become `usage` errors, and its help
 * becomes text.
 *
 * @module
 */
import { Command, CommanderError, Option } from "commander";
import { ImageError } from "../../mod.ts";
import { nameOf } from "./parse_args.ts";
import type { CommandDef, OptionDef, ParsedArgs } from "../commands/command.ts";

const HELP_WIDTH = 100;

/** Thrown instead of a result when the arguments ask for help; not a failure. */
export interface HelpWanted {
  readonly help: string;
}

function optionOf(def: OptionDef): Option {
  const short = def.short === undefined ? undefined : `-${def.short}`;
  const long = def.long === undefined ? undefined : `--${def.long}`;
  const flags = [short, long].filter((flag) => flag !== undefined).join(", ");
  const option = new Option(def.arg === undefined ? flags : `${flags} <${def.arg}>`, def.help);
  if (def.repeats) option.argParser((value: string, before: string[] = []) => [...before, value]);
  if (def.group !== undefined) option.helpGroup(`${def.group}:`);
  return option;
}

function quiet(command: Command): Command {
  return command.exitOverride().configureOutput({
    writeOut: () => {},
    writeErr: () => {},
    // Without these two, commander reads environment variables, and Deno asks the user for leave.
    getOutHasColors: () => false,
    getErrHasColors: () => false,
    getOutHelpWidth: () => HELP_WIDTH,
    getErrHelpWidth: () => HELP_WIDTH,
  });
}

/** The help option, in the last group. */
function helpOption(def: CommandDef): Option {
  const option = new Option("-h, --help", "show this help");
  const group = def.options.at(-1)?.group;
  return group === undefined ? option : option.helpGroup(`${group}:`);
}

function commandOf(def: CommandDef, values: Map<string, string | true | string[]>): Command {
  const command = quiet(new Command(`diskcast ${def.name}`)).description(def.summary);
  command.usage(`[options] ${def.usage}`.trim()).addHelpOption(helpOption(def));
  command.argument("[files...]").configureHelp({ visibleArguments: () => [] });
  for (const one of def.options) {
    const take = (value: string | undefined) => {
      const before = values.get(nameOf(one));
      if (!one.repeats) values.set(nameOf(one), value ?? true);
      else values.set(nameOf(one), [...(before as string[] | undefined) ?? [], value!]);
    };
    const option = optionOf(one);
    command.addOption(option).on(`option:${option.name()}`, take);
    if (one.alias === undefined) continue;
    const alias = new Option(`-${one.alias}${one.arg === undefined ? "" : ` <${one.arg}>`}`).hideHelp();
    command.addOption(alias).on(`option:${alias.name()}`, take);
  }
  if (def.notes !== undefined) command.addHelpText("after", `\n${def.notes}`);
  return command;
}

/** The help of a command. */
export function commandHelp(def: CommandDef): string {
  return helpText(commandOf(def, new Map()));
}

function helpText(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => text += part });
  command.outputHelp();
  return text;
}

/** The help of the whole program. */
export function programHelp(commands: readonly CommandDef[], about: string): string {
  const program = quiet(new Command("diskcast")).description(about).usage("<command> [options]");
  program.helpOption("-h, --help", "show this help").version("-", "-V, --version", "show the version");
  program.helpCommand("help [command]", "show the help of a command");
  for (const def of commands) program.command(def.name).summary(def.summary).usage(def.usage);
  program.configureHelp({ subcommandTerm: (command) => command.name() });
  return helpText(program);
}

/** Turns commander's wording into ours: `error: unknown option '-x'` and a second line with a suggestion. */
function usageError(error: CommanderError): ImageError {
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = rest.join(" ").replace(/^\((.*)\)$/, "$1");
  const message = first[0]!.toUpperCase() + first.slice(1).replaceAll("'", '"');
  return new ImageError("usage", suggestion === "" ? message : `${message}: ${lowerFirst(suggestion)}`);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/**
 * Reads words whose long options are complete.
 *
 * @throws ImageError `usage`
 */
export function readWithCommander(def: CommandDef, words: readonly string[]): ParsedArgs | HelpWanted {
  const values = new Map<string, string | true | string[]>();
  const command = commandOf(def, values);
  try {
    command.parse(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { help: commandHelp(def) };
    throw usageError(error);
  }
  return { options: Object.fromEntries(values), files: command.args };
}
