/**
 * Makes `docs/diskcast.1` from the option tables of the commands.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { CommandDef, OptionDef } from "../../cli/commands/command.ts";

/** The path of the page. */
export const manPage = fileURLToPath(new URL("../../docs/diskcast.1", import.meta.url));

/** Returns the page in the language of man. */
export function manText(defs: readonly CommandDef[]): string {
  return [
    '.\\" Made by "deno task docs".',
    ".TH DISKCAST 1",
    ".SH NAME",
    "diskcast \\- convert virtual disk images",
    ".SH SYNOPSIS",
    ".B diskcast",
    "\\fICOMMAND\\fR [\\fIoptions\\fR] \\fIfiles\\fR",
    ".SH DESCRIPTION",
    ...text("Options of one letter may be joined; long options may be cut short where the rest is clear."),
    ".SH COMMANDS",
    ...defs.flatMap(command),
    ".SH EXIT STATUS",
    ...text(
      "0: done. 1: failed, or used wrongly. 128 and the number of a signal: ended by that signal, 130 for Ctrl-C. " +
        "compare and check have codes of their own, which are listed there.",
    ),
    "",
  ].join("\n");
}

function command({ name, summary, usage, options, notes = "" }: CommandDef): string[] {
  const [about, examples] = notes.split(/\n*^Examples:\n/m);
  return [
    `.SS ${name}`,
    ...text(`${summary}.`),
    ".PP",
    `.B diskcast ${name}`,
    `[\\fIoptions\\fR] ${escaped(usage)}`.trimEnd(),
    ...(about ? [".PP", ...text(about)] : []),
    ...options.flatMap(option),
    ...(examples ? [".PP", "Examples:", ".PP", ".nf", ...text(examples), ".fi"] : []),
  ];
}

function option({ short, alias, long, arg, help }: OptionDef): string[] {
  const names = [short && `-${short}`, alias && `-${alias}`, long && `--${long}`].filter((one) => one !== undefined);
  const value = arg === undefined ? "" : ` \\fI${escaped(arg)}\\fR`;
  return [".TP", names.map((name) => `\\fB${escaped(name)}\\fR`).join(", ") + value, ...text(help)];
}

/** Returns lines of plain text, escaped so that none is a request. */
function text(content: string): string[] {
  return escaped(content).split("\n").map((line) => /^[.']/.test(line) ? `\\&${line}` : line);
}

function escaped(content: string): string {
  return content.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}
