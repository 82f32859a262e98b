/** `deno task docs`: writes docs/commands.md and docs/diskcast.1. */
import { commandDefs } from "../../cli/commands/mod.ts";
import { commandsMarkdown, commandsPage } from "./commands_doc.ts";
import { manPage, manText } from "./man_page.ts";

const defs = await commandDefs();
for (const [page, text] of [[commandsPage, commandsMarkdown(defs)], [manPage, manText(defs)]] as const) {
  await Deno.writeTextFile(page, text);
  console.log(page);
}
