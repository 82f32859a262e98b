/**
 * Completion of the argument at the cursor. Pure: from the arguments so far to candidates.
 *
 * @module
 */
import { creationOptionsOf, type Format } from "../../mod.ts";
import type { CommandDef, CommandSummary, OptionDef } from "../commands/command.ts";
import { writableRecipes } from "../destinations/recipes.ts";
import { presets } from "../destinations/table.ts";

/** Flags for the scripts of the shells, added up: what else to complete, and whether a space follows. */
export const DIRECTIVE = { files: 0, noSpace: 2, noFiles: 4, folders: 16 } as const;

/** Candidates for one argument. */
export interface Completion {
  readonly values: readonly (readonly [value: string, help: string])[];
  /** A sum of {@linkcode DIRECTIVE}. */
  readonly directive: number;
}

/** Commands and formats to complete from. */
export interface CompletionContext {
  readonly commands: readonly CommandSummary[];
  /** The command that the first argument names. */
  readonly command: CommandDef | undefined;
  readonly formats: readonly Format[];
}

const NOTHING: Completion = { values: [], directive: DIRECTIVE.noFiles };
const FILES: Completion = { values: [], directive: DIRECTIVE.files };

/**
 * Returns candidates for the last argument, which may be empty.
 *
 * @param args The arguments after the program's name.
 *
 * @example
 * ```ts
 * import { complete } from "./completion.ts";
 * import { allFormats } from "../../mod.ts";
 * import { commandDefs } from "../commands/mod.ts";
 * import assert from "node:assert/strict";
 *
 * const commands = await commandDefs();
 * const command = commands.find(({ name }) => name === "convert");
 * const { values } = complete(["convert", "-O", "qc"], { commands, command, formats: allFormats });
 * assert.deepEqual(values.map(([value]) => value), ["qcow2"]);
 * ```
 */
export function complete(args: readonly string[], context: CompletionContext): Completion {
  const current = args.at(-1) ?? "";
  const found = candidates(args.slice(0, -1), current, context);
  return { ...found, values: found.values.filter(([value]) => value.startsWith(current)) };
}

function candidates(before: readonly string[], current: string, context: CompletionContext): Completion {
  const { commands, command } = context;
  if (before.length === 0) return firstArgument(commands);
  if (command === undefined) return before[0] === "help" ? commandNames(commands) : NOTHING;
  if (before.includes("--")) return fileArgument(command);
  const last = lastOption(before.at(-1)!, command);
  if (last?.arg !== undefined && last.attached === "" && last.aloneIs === undefined) {
    return optionValues(last, current, before, command, context);
  }
  const own = lastOption(current, command);
  if (own?.arg !== undefined && own.attached !== "") {
    const head = current.slice(0, current.length - own.attached.length + (own.attached.startsWith("=") ? 1 : 0));
    const { values, directive } = optionValues(own, current.slice(head.length), before, command, context);
    return { values: values.map(([value, help]) => [head + value, help]), directive };
  }
  return current.startsWith("-") ? optionNames(command) : fileArgument(command);
}

function firstArgument(commands: readonly CommandSummary[]): Completion {
  const { values, directive } = commandNames(commands);
  return {
    values: [
      ...values,
      ["help", "Show the help of a command"],
      ["--help", "Show the help"],
      ["--version", "Show the version"],
    ],
    directive,
  };
}

function commandNames(commands: readonly CommandSummary[]): Completion {
  return fixed(commands.map(({ name, summary }) => [name, summary]));
}

function fileArgument({ choices, usage }: CommandDef): Completion {
  if (choices !== undefined) return fixed(choices.map((choice) => [choice, ""]));
  return usage === "" ? NOTHING : FILES;
}

function optionNames({ options }: CommandDef): Completion {
  const names = options.flatMap((option) => [
    ...(option.long === undefined ? [] : [[`--${option.long}`, option.help] as const]),
    ...(option.short === undefined ? [] : [[`-${option.short}`, option.help] as const]),
  ]);
  return fixed([...names, ["--help", "Show this help"]]);
}

/** Returns candidates without file names beside them. */
function fixed(values: Completion["values"]): Completion {
  return { values, directive: DIRECTIVE.noFiles };
}

/** Returns the last option in an argument, and the value attached to it: `=x` of `--for=x`, `x` of `-Ox`. */
function lastOption(arg: string, { options }: CommandDef): OptionDef & { readonly attached: string } | undefined {
  if (arg.startsWith("--")) {
    const [name] = arg.slice(2).split("=", 1);
    const option = options.find(({ long }) => long === name);
    return option && { ...option, attached: arg.slice(2 + name!.length) };
  }
  if (!arg.startsWith("-")) return undefined;
  for (let at = 1; at < arg.length; at++) {
    const option = options.find(({ short, alias }) => short === arg[at] || alias === arg[at]);
    if (option === undefined) return undefined;
    if (option.arg !== undefined) return { ...option, attached: arg.slice(at + 1) };
  }
  return undefined;
}

const CACHE_MODES = ["writeback", "writethrough", "directsync", "none", "off", "unsafe"];

/** Fixed values by the long name of an option. */
const VALUES: { readonly [name: string]: readonly string[] } = {
  "progress": ["auto", "live", "screen", "bar", "plain", "json", "none"],
  "output": ["human", "json"],
};

/** Returns the values of an option, by the name that its value has in the help of every command. */
function optionValues(
  option: OptionDef,
  value: string,
  before: readonly string[],
  command: CommandDef,
  { formats }: CompletionContext,
): Completion {
  const listed = VALUES[option.long ?? ""];
  if (listed !== undefined) return fixed(listed.map((value) => [value, ""]));
  switch (option.arg) {
    case "fmt": {
      const writes = option.long === "target-format";
      return fixed(
        formats.filter(({ create, edit }) => !writes || (create ?? edit)).map((one) => [one.name, one.title]),
      );
    }
    case "destination":
      return fixed(
        presets.filter((one) => writableRecipes(one, formats).length > 0).map((one) => [one.name, one.title]),
      );
    case "options":
      return creationOption(value, formatBefore(before, command, formats), formats);
    case "mode":
      return fixed((option.long?.endsWith("cache") ? CACHE_MODES : []).map((mode) => [mode, ""]));
    case "file":
      return FILES;
    case "dir":
      return { values: [], directive: DIRECTIVE.folders };
  }
  return NOTHING;
}

/** Returns the format that the arguments so far state, by `-O`, `-f` or `--for`. */
function formatBefore(before: readonly string[], command: CommandDef, formats: readonly Format[]): string {
  let format = "raw";
  before.forEach((arg, at) => {
    const option = lastOption(arg, command);
    const value = option?.attached === "" ? before[at + 1] : option?.attached.replace(/^=/, "");
    if (option?.long === "target-format" || option?.long === "format") format = value ?? format;
    const preset = option?.long === "for" ? presets.find(({ name }) => name === value) : undefined;
    if (preset !== undefined) format = writableRecipes(preset, formats)[0]?.format ?? format;
  });
  return format;
}

/** Completes the item after the last comma of a list `name=value,name=…`. */
function creationOption(list: string, format: string, formats: readonly Format[]): Completion {
  const cut = list.lastIndexOf(",") + 1;
  const [head, item] = [list.slice(0, cut), list.slice(cut)];
  const specs = creationOptionsOf(formats.find(({ name }) => name === format) ?? { createOptions: [] });
  const equals = item.indexOf("=");
  if (equals < 0) {
    const values = specs.map((spec) => [`${head}${spec.name}=`, spec.help] as const);
    return {
      values: cut === 0 ? [...values, ["help", "list the options"]] : values,
      directive: DIRECTIVE.noFiles + DIRECTIVE.noSpace,
    };
  }
  const spec = specs.find(({ name }) => name === item.slice(0, equals));
  const values = spec?.type === "flag" ? ["on", "off"] : spec?.values ?? [];
  return fixed(values.map((value) => [`${head}${item.slice(0, equals + 1)}${value}`, ""]));
}
