/** `deno task docs`: writes docs/commands.md anew. */
import { commandDefs } from "../../cli/commands.ts";
import { commandsMarkdown, commandsPage } from "./commands_doc.ts";

await Deno.writeTextFile(commandsPage, commandsMarkdown(await commandDefs()));
console.log(commandsPage);
