/**
 * How a word that is being typed may go on. Pure: from the words so far to proposals.
 *
 * @module
 */
import type { Format } from "../../mod.ts";
import type { CommandDef, OptionDef } from "../commands/command.ts";
import { SHELLS } from "../commands/completions_options.ts";
import { recipesOf } from "../destinations/recipes.ts";
import { presets } from "../destinations/table.ts";

/** What the scripts of the shells understand, as the sum of powers of two. */
export const DIRECTIVE = { files: 0, noSpace: 2, noFiles: 4, folders: 16 } as const;

/** Proposals for one word. */
export interface Proposals {
  readonly values: readonly (readonly [value: string, about: string])[];
  readonly directive: number;
}

/** What proposals are made from. */
export interface Known {
  readonly commands: readonly CommandDef[];
  readonly formats: readonly Format[];
}

const NOTHING: Proposals = { values: [], directive: DIRECTIVE.noFiles };
const FILES: Proposals = { values: [], directive: DIRECTIVE.files };

/**
 * Proposals for the last of `words`, which may be empty.
 *
 * @param words the words after the program's name
 *
 * @example
 * ```ts
 * import { proposals } from "./completion.ts";
 * import { allFormats } from "../../mod.ts";
 * import { convertCommand } from "../commands/convert_options.ts";
 * import assert from "node:assert/strict";
 *
 * const known = { commands: [convertCommand], formats: allFormats };
 * const { values } = proposals(["convert", "-O", "qc"], known);
 * assert.deepEqual(values.map(([value]) => value), ["qcow2"]);
 * ```
 */
export function proposals(words: readonly string[], known: Known): Proposals {
  const word = words.at(-1) ?? "";
  const found = proposed(words.slice(0, -1), word, known);
  return { ...found, values: found.values.filter(([value]) => value.startsWith(word)) };
}

function proposed(before: readonly string[], word: string, known: Known): Proposals {
  const command = known.commands.find(({ name }) => name === before[0]);
  if (before.length === 0) return firstWord(known);
  if (command === undefined) return before[0] === "help" ? commandNames(known) : NOTHING;
  if (before.includes("--")) return filesOf(command);
  const last = optionOf(before.at(-1)!, command);
  if (last?.arg !== undefined && last.attached === "" && last.aloneIs === undefined) {
    return valuesOf(last, word, before, known);
  }
  const own = optionOf(word, command);
  if (own?.arg !== undefined && own.attached !== "") {
    const lead = word.slice(0, word.length - own.attached.length + (own.attached.startsWith("=") ? 1 : 0));
    const { values, directive } = valuesOf(own, word.slice(lead.length), before, known);
    return { values: values.map(([value, about]) => [lead + value, about]), directive };
  }
  return word.startsWith("-") ? optionNames(command) : filesOf(command);
}

function firstWord({ commands }: Known): Proposals {
  const values = commands.map(({ name, summary }) => [name, summary] as const);
  return {
    values: [...values, ["help", "Show the help of a command"], ["--help", "Show the help"], [
      "--version",
      "Show the version",
    ]],
    directive: DIRECTIVE.noFiles,
  };
}

function commandNames({ commands }: Known): Proposals {
  return { values: commands.map(({ name, summary }) => [name, summary]), directive: DIRECTIVE.noFiles };
}

/** What stands where no option does. */
function filesOf(command: CommandDef): Proposals {
  if (command.name === "completions") {
    return { values: SHELLS.map((shell) => [shell, ""]), directive: DIRECTIVE.noFiles };
  }
  return command.usage === "" ? NOTHING : FILES;
}

function optionNames({ options }: CommandDef): Proposals {
  const names = options.flatMap((option) => [
    ...(option.long === undefined ? [] : [[`--${option.long}`, option.help] as const]),
    ...(option.short === undefined ? [] : [[`-${option.short}`, option.help] as const]),
  ]);
  return { values: [...names, ["--help", "Show this help"]], directive: DIRECTIVE.noFiles };
}

/** The option that a word ends in, and what of a value is attached to it: `=x` of `--for=x`, `x` of `-Ox`. */
function optionOf(word: string, { options }: CommandDef): OptionDef & { readonly attached: string } | undefined {
  if (word.startsWith("--")) {
    const [name] = word.slice(2).split("=", 1);
    const option = options.find(({ long }) => long === name);
    return option && { ...option, attached: word.slice(2 + name!.length) };
  }
  if (!word.startsWith("-")) return undefined;
  for (let at = 1; at < word.length; at++) {
    const option = options.find(({ short, alias }) => short === word[at] || alias === word[at]);
    if (option === undefined) return undefined;
    if (option.arg !== undefined) return { ...option, attached: word.slice(at + 1) };
  }
  return undefined;
}

const CACHE_MODES = ["writeback", "writethrough", "directsync", "none", "off", "unsafe"];

/** Fixed values by the long name of an option. */
const VALUES: { readonly [name: string]: readonly string[] } = {
  "progress": ["auto", "screen", "bar", "plain", "json", "none"],
  "output": ["human", "json"],
};

function valuesOf(option: OptionDef, word: string, before: readonly string[], known: Known): Proposals {
  const { formats } = known;
  const plain = (values: readonly (readonly [string, string])[]) => ({ values, directive: DIRECTIVE.noFiles });
  const fixed = VALUES[option.long ?? ""];
  if (fixed !== undefined) return plain(fixed.map((value) => [value, ""]));
  // What a value is, all commands say by one and the same word in their help.
  switch (option.arg) {
    case "fmt": {
      const writes = option.long === "target-format";
      return plain(
        formats.filter(({ create, edit }) => !writes || (create ?? edit)).map((one) => [one.name, one.title]),
      );
    }
    case "place":
      return plain(presets.filter((one) => recipesOf(one, formats).length > 0).map((one) => [one.name, one.title]));
    case "options":
      return creationOptions(word, formatBefore(before, known), known);
    case "mode":
      return plain((option.long?.endsWith("cache") ? CACHE_MODES : []).map((value) => [value, ""]));
    case "file":
      return FILES;
    case "dir":
      return { values: [], directive: DIRECTIVE.folders };
  }
  return NOTHING;
}

/** The format that the words before settle: by `-O` or `--for`. */
function formatBefore(before: readonly string[], { commands, formats }: Known): string {
  const command = commands.find(({ name }) => name === before[0])!;
  let format = "raw";
  before.forEach((word, at) => {
    const option = optionOf(word, command);
    const value = option?.attached === "" ? before[at + 1] : option?.attached.replace(/^=/, "");
    if (option?.long === "target-format" || option?.long === "format") format = value ?? format;
    const preset = option?.long === "for" ? presets.find(({ name }) => name === value) : undefined;
    if (preset !== undefined) format = recipesOf(preset, formats)[0]?.format ?? format;
  });
  return format;
}

/** A list `name=value,name=…`: the item after the last comma goes on. */
function creationOptions(word: string, format: string, { formats }: Known): Proposals {
  const cut = word.lastIndexOf(",") + 1;
  const [lead, item] = [word.slice(0, cut), word.slice(cut)];
  const specs = formats.find(({ name }) => name === format)?.createOptions ?? [];
  const equals = item.indexOf("=");
  if (equals < 0) {
    const values = specs.map((spec) => [`${lead}${spec.name}=`, spec.help] as const);
    return {
      values: cut === 0 ? [...values, ["help", "list the options"]] : values,
      directive: DIRECTIVE.noFiles + DIRECTIVE.noSpace,
    };
  }
  const spec = specs.find(({ name }) => name === item.slice(0, equals));
  const values = spec?.type === "flag" ? ["on", "off"] : spec?.values ?? [];
  return {
    values: values.map((value) => [`${lead}${item.slice(0, equals + 1)}${value}`, ""]),
    directive: DIRECTIVE.noFiles,
  };
}
