/**
 * What commander lacks of getopt_long: long options cut short to a unique beginning, and `--progress` whose value
 * never is the next word. Pure: arguments to arguments.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { CommandDef, OptionDef } from "../commands/command.ts";

/** Every long name of the command, with its option. */
function longNames(options: readonly OptionDef[]): Map<string, OptionDef> {
  return new Map(options.flatMap((option) => option.long === undefined ? [] : [[option.long, option] as const]));
}

/** The full name of a long option that may be cut short; unknown ones are left to the parser, which suggests others. */
function fullName(name: string, known: ReadonlyMap<string, OptionDef>): string {
  if (known.has(name)) return name;
  const candidates = [...known.keys()].filter((long) => long.startsWith(name));
  if (candidates.length > 1) {
    throw new ImageError(
      "usage",
      `Cannot tell which option "--${name}" is: it may be ${candidates.map((long) => `--${long}`).join(" or ")}`,
    );
  }
  return candidates[0] ?? name;
}

/** Whether a group of short options (`pcO` of `-pcO`) ends in one whose value is the next word. */
function groupWantsNext(group: string, options: readonly OptionDef[]): boolean {
  for (let at = 0; at < group.length; at++) {
    const option = options.find((one) => one.short === group[at] || one.alias === group[at]);
    if (option?.arg !== undefined) return at === group.length - 1;
  }
  return false;
}

/**
 * Completes long options; values of options and everything after `--` stay as they are.
 *
 * @param args The words after the command's name.
 * @throws ImageError `usage` for a beginning that several options share.
 */
export function completeArgs(args: readonly string[], command: CommandDef): string[] {
  const known = longNames([...command.options, { long: "help", help: "" }]);
  const done: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (word === "--") return [...done, ...args.slice(at)];
    let wantsNext = false;
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const name = fullName(word.slice(2, equals < 0 ? undefined : equals), known);
      const option = known.get(name);
      const alone = equals < 0 && option?.aloneIs !== undefined;
      done.push(alone ? option!.aloneIs! : `--${name}${equals < 0 ? "" : word.slice(equals)}`);
      if (equals >= 0 && option !== undefined && option.arg === undefined) {
        throw new ImageError("usage", `Cannot give a value to --${name}: it takes none`);
      }
      wantsNext = !alone && equals < 0 && option?.arg !== undefined;
    } else {
      // Commander takes such a word for a number.
      if (/^-[0-9]/.test(word)) throw new ImageError("usage", `Unknown option "${word}"; for a file write "./${word}"`);
      done.push(word);
      wantsNext = word.startsWith("-") && groupWantsNext(word.slice(1), command.options);
    }
    if (wantsNext && at + 1 < args.length) done.push(args[++at]!);
  }
  return done;
}
