/**
 * The words after a command's name. What is right is read here, just as commander reads it; commander itself, which takes
 * longer to load than a small disk to convert, is asked where help is wanted or something is wrong.
 *
 * @module
 */
import type { HelpWanted } from "./commander.ts";
import { completeArgs } from "./getopt.ts";
import type { CommandDef, OptionDef, ParsedArgs } from "../commands/command.ts";

/**
 * Reads the words after a command's name.
 *
 * @throws ImageError `usage`
 */
export async function parseArgs(def: CommandDef, args: readonly string[]): Promise<ParsedArgs | HelpWanted> {
  const words = completeArgs(args, def);
  return readWords(def, words) ?? (await import("./commander.ts")).readWithCommander(def, words);
}

/** Reads words whose long options are complete; `null` where help is wanted or something is wrong. Pure. */
export function readWords({ options: defs }: CommandDef, words: readonly string[]): ParsedArgs | null {
  const options: { [name: string]: string | true | readonly string[] } = {};
  const files: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") return { options, files: [...files, ...words.slice(at + 1)] };
    if (word === "-" || !word.startsWith("-")) {
      files.push(word);
      continue;
    }
    const given = optionsIn(word, defs);
    if (given === null) return null;
    for (const { def, attached } of given) {
      const value = def.arg === undefined ? true : attached ?? words[++at];
      if (value === undefined) return null;
      const name = nameOf(def);
      options[name] = def.repeats ? [...(options[name] as string[] | undefined) ?? [], value as string] : value;
    }
  }
  return { options, files };
}

/** An option in a word, and its value if that is part of the word. */
interface Given {
  readonly def: OptionDef;
  readonly attached?: string | undefined;
}

/** The options that one word gives: a long one, or short ones of which only the last has a value; `null`: not all known. */
function optionsIn(word: string, defs: readonly OptionDef[]): Given[] | null {
  if (word.startsWith("--")) {
    const [name, ...value] = word.slice(2).split("=");
    const def = defs.find(({ long }) => long === name);
    return def === undefined ? null : [{ def, attached: value.length > 0 ? value.join("=") : undefined }];
  }
  const given: Given[] = [];
  for (let at = 1; at < word.length; at++) {
    const def = defs.find(({ short, alias }) => short === word[at] || alias === word[at]);
    if (def === undefined) return null;
    if (def.arg !== undefined) return [...given, { def, attached: word.slice(at + 1) || undefined }];
    given.push({ def });
  }
  return given;
}

/** The name under which {@linkcode ParsedArgs} has an option. */
export function nameOf(def: OptionDef): string {
  return def.long ?? def.short!;
}
