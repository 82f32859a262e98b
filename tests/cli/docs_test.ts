import assert from "node:assert/strict";
import { commandDefs, commands } from "../../cli/commands.ts";
import { parseArgs } from "../../cli/commander.ts";
import { completeArgs } from "../../cli/getopt.ts";
import { commandsMarkdown, commandsPage } from "../support/commands_doc.ts";

Deno.test("docs/commands.md is made from the tables of the commands (deno task docs makes it anew)", async () => {
  assert.equal((await Deno.readTextFile(commandsPage)).replaceAll("\r\n", "\n"), commandsMarkdown(await commandDefs()));
});

Deno.test("a page has every command, every option and the notes", () => {
  const option = { short: "x", long: "extra", arg: "a|b", help: "takes a|b", group: "More" };
  const page = commandsMarkdown([{ name: "go", summary: "Go there", usage: "FILE", options: [option], notes: "Far." }]);
  assert.match(page, /^## go\n\nGo there\.\n\n```\ndiskcast go \[options\] FILE\n```\n\nFar\.\n\n\| More \| \|$/m);
  assert.match(page, /^\| `-x, --extra <a\|b>` \| takes a\\\|b \|$/m);
});

Deno.test("the table of commands has the names that the commands have", async () => {
  assert.deepEqual(commands.map(({ name }) => name), (await commandDefs()).map(({ name }) => name));
});

for (const def of await commandDefs()) {
  Deno.test(`the examples of ${def.name} are words that it takes`, () => {
    const examples = (def.notes ?? "").split("\n").filter((line) => line.startsWith("  diskcast "));
    if (def.options.length > 0) assert(examples.length > 0, "an example is missing");
    for (const example of examples) {
      const [, name, ...words] = example.trim().replace(/ > .*$/, "").split(/ +/);
      assert.equal(name, def.name, example);
      completeArgs(words, def);
      assert(!("help" in parseArgs(def, words)), example);
    }
  });
}
