/**
 * `docs/commands.md`, made from the tables that parser and help read.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { CommandDef, OptionDef } from "../../cli/commands/command.ts";

/** Where the page lies. */
export const commandsPage = fileURLToPath(new URL("../../docs/commands.md", import.meta.url));

/** The page. */
export function commandsMarkdown(defs: readonly CommandDef[]): string {
  const list = defs.map(({ name, summary }) => `| [\`${name}\`](#${name}) | ${cell(summary)} |`);
  return `# Commands

Made by \`deno task docs\` from the tables that the program itself reads; \`diskcast help COMMAND\` shows the same.

| Command | |
|---|---|
${list.join("\n")}

${defs.map(section).join("\n")}`;
}

function section({ name, summary, usage, options, notes }: CommandDef): string {
  const [text, examples] = (notes ?? "").split(/\n*^Examples:\n/m);
  return [
    `## ${name}`,
    `${summary}.`,
    block(`diskcast ${name} [options] ${usage}`.trim()),
    ...(text ? [text] : []),
    ...groupsOf(options).map(([group, members]) => table(group, members)),
    ...(examples ? ["Examples:", block(examples.replace(/^ {2}/gm, ""))] : []),
  ].map((part) => `${part}\n`).join("\n");
}

/** Options under their headings, in the order of the help. */
function groupsOf(options: readonly OptionDef[]): [string, OptionDef[]][] {
  const groups = new Map<string, OptionDef[]>();
  for (const option of options) {
    const group = option.group ?? "Options";
    groups.set(group, [...groups.get(group) ?? [], option]);
  }
  return [...groups];
}

function table(group: string, options: readonly OptionDef[]): string {
  const rows = options.map(({ short, alias, long, arg, help }) => {
    const names = [short && `-${short}`, alias && `-${alias}`, long && `--${long}`].filter(Boolean).join(", ");
    return `| \`${names}${arg === undefined ? "" : ` <${arg}>`}\` | ${cell(help)} |`;
  });
  return `| ${group} | |\n|---|---|\n${rows.join("\n")}`;
}

function block(text: string): string {
  return `\`\`\`\n${text}\n\`\`\``;
}

/** Text that does not end its cell, nor begins a tag. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
