/** `deno task docs`: writes docs/commands.md anew. */
import { commandsMarkdown, commandsPage } from "./commands_doc.ts";

await Deno.writeTextFile(commandsPage, commandsMarkdown());
console.log(commandsPage);
