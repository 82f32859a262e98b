/**
 * Makes `docs/commands.md` from the option tables of the commands.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { CommandDef, OptionDef } from "../../cli/commands/command.ts";

/** The path of the page. */
export const commandsPage = fileURLToPath(new URL("../../docs/commands.md", import.meta.url));

/** Returns the page. */
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

/** Returns the options under their headings, in the order of the help. */
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

/** Escapes text that would end its cell or begin a tag. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
