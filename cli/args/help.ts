/**
 * Help texts of the program and of a command, made from their tables. Pure.
 *
 * @module
 */
import { optionTerm } from "./parse_args.ts";
import type { CommandDef } from "../commands/command.ts";

/** Characters of a line of options; notes are laid out by hand. */
const WIDTH = 100;

type Row = readonly [term: string, text: string];
type Section = readonly [heading: string, rows: readonly Row[]];

/** The help of a command. */
export function commandHelp({ name, summary, usage, options, notes }: CommandDef): string {
  const groups = new Map<string, Row[]>();
  const add = (group: string, row: Row) => groups.set(group, [...groups.get(group) ?? [], row]);
  for (const option of options) add(option.group ?? "Options", [optionTerm(option), option.help]);
  add(options.at(-1)?.group ?? "Options", ["-h, --help", "show this help"]);
  return page(`${name} [options] ${usage}`.trimEnd(), summary, [...groups], notes);
}

/** The help of the whole program. */
export function programHelp(commands: readonly Pick<CommandDef, "name" | "summary">[], about: string): string {
  return page("<command> [options]", about, [
    ["Options", [
      ["-V, --version", "show the version"],
      ["-h, --help", "show this help"],
      ["--program=<words>", "before all others: the words that printed commands begin with, in place of diskcast"],
      ["--as-qemu-img", "before the command: write to standard error only what qemu-img would write"],
    ]],
    ["Commands", [
      ...commands.map(({ name, summary }): Row => [name, summary]),
      ["help", "show the help of a command"],
    ]],
  ]);
}

function page(usage: string, about: string, sections: readonly Section[], notes?: string): string {
  const width = Math.max(...sections.flatMap(([, rows]) => rows.map(([term]) => term.length)));
  const parts = [
    `Usage: diskcast ${usage}`,
    about,
    ...sections.map(([heading, rows]) => [`${heading}:`, ...rows.map((row) => rowText(row, width))].join("\n")),
    ...(notes === undefined ? [] : [notes]),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** A term, and its text in a column of its own. */
function rowText([term, text]: Row, width: number): string {
  const indent = " ".repeat(2 + width + 2);
  return `  ${term.padEnd(width)}  ${wrapped(text, WIDTH - indent.length).join(`\n${indent}`)}`;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
