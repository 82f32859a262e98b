import assert from "node:assert/strict";
import { commandDefs, commands } from "../../cli/commands/mod.ts";
import { parseArgs } from "../../cli/args/parse_args.ts";
import { commandsMarkdown, commandsPage } from "../support/commands_doc.ts";
import { manPage, manText } from "../support/man_page.ts";

Deno.test("docs/commands.md is up to date with the tables of the commands (run deno task docs)", async () => {
  assert.equal((await Deno.readTextFile(commandsPage)).replaceAll("\r\n", "\n"), commandsMarkdown(await commandDefs()));
});

Deno.test("docs/diskcast.1 is up to date with them as well", async () => {
  assert.equal((await Deno.readTextFile(manPage)).replaceAll("\r\n", "\n"), manText(await commandDefs()));
});

Deno.test("the man page has every option, and escapes text that looks like a request", () => {
  const option = { short: "x", long: "ex-tra", arg: "a", help: ".not a request" };
  const notes = "'nor this\\n.\n\nExamples:\n  diskcast go -x 1";
  const page = manText([{ name: "go", summary: "Go there", usage: "FILE", options: [option], notes }]);
  assert.match(page, /^\.SS go\nGo there\.\n/m);
  assert.match(page, /^\.TP\n\\fB\\-x\\fR, \\fB\\-\\-ex\\-tra\\fR \\fIa\\fR\n\\&\.not a request$/m);
  assert.match(page, /^\\&'nor this\\en\.$/m);
  assert.match(page, /^\.nf\n {2}diskcast go \\-x 1\n\.fi$/m);
});

Deno.test("a page has every command, every option and the notes", () => {
  const option = { short: "x", long: "extra", arg: "a|b", help: "takes a|b", group: "More" };
  const page = commandsMarkdown([{ name: "go", summary: "Go there", usage: "FILE", options: [option], notes: "Far." }]);
  assert.match(page, /^## go\n\nGo there\.\n\n```\ndiskcast go \[options\] FILE\n```\n\nFar\.\n\n\| More \| \|$/m);
  assert.match(page, /^\| `-x, --extra <a\|b>` \| takes a\\\|b \|$/m);
});

Deno.test("the names of commands are unique, and those of the options of each command", async () => {
  const unique = (names: readonly string[]) => assert.equal(new Set(names).size, names.length, names.join(" "));
  unique(commands.map(({ name }) => name));
  for (const { options } of await commandDefs()) {
    unique(options.flatMap(({ short, alias, long }) => [short, alias, long].filter((name) => name !== undefined)));
  }
});

for (const def of await commandDefs()) {
  Deno.test(`the examples of ${def.name} are accepted`, () => {
    const examples = (def.notes ?? "").split("\n").filter((line) => line.startsWith("  diskcast "));
    if (def.options.length > 0) assert(examples.length > 0, "an example is missing");
    for (const example of examples) {
      const [, name, ...args] = example.trim().replace(/ > .*$/, "").split(/ +/);
      assert.equal(name, def.name, example);
      assert(parseArgs(def, args) !== null, example);
    }
  });
}
