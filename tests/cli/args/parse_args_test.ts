import assert from "node:assert/strict";
import { completeArgs, parseArgs } from "../../../cli/args/parse_args.ts";
import type { OptionDef } from "../../../cli/commands/command.ts";

const options: readonly OptionDef[] = [
  { short: "c", long: "compress", help: "" },
  { long: "compression-level", arg: "level", help: "" },
  { short: "O", alias: "o", long: "target-format", arg: "fmt", help: "" },
  { short: "p", help: "" },
  { long: "progress", arg: "form", aloneIs: "-p", help: "" },
  { long: "allow-ref", arg: "dir", repeats: true, help: "" },
];
const def = { options };

const read: readonly (readonly [args: string, options: unknown, files: string])[] = [
  ["", {}, ""],
  ["a - b", {}, "a - b"],
  ["a -c b", { "compress": true }, "a b"],
  ["-c -- -p --", { "compress": true }, "-p --"],
  ["-pcO raw a", { "p": true, "compress": true, "target-format": "raw" }, "a"],
  ["-cOraw", { "compress": true, "target-format": "raw" }, ""],
  ["-O=raw", { "target-format": "=raw" }, ""],
  ["-O -c a", { "target-format": "-c" }, "a"],
  ["-O -- a", { "target-format": "--" }, "a"],
  ["-o raw -O vdi", { "target-format": "vdi" }, ""],
  ["--target-format raw", { "target-format": "raw" }, ""],
  ["--target-format=a=b", { "target-format": "a=b" }, ""],
  ["--target-format= a", { "target-format": "" }, "a"],
  ["--target --comp-not-read", { "target-format": "--comp-not-read" }, ""],
  ["--compress a", { "compress": true }, "a"],
  ["--compressi=3", { "compression-level": "3" }, ""],
  ["--progress bar", { "p": true }, "bar"],
  ["--progress=bar", { "progress": "bar" }, ""],
  ["--prog", { "p": true }, ""],
  ["--allow-ref x --allow=y", { "allow-ref": ["x", "y"] }, ""],
  ["-p -p", { "p": true }, ""],
];

for (const [args, options, files] of read) {
  Deno.test(`arguments: ${args}`, () => {
    const parsed = parseArgs(def, words(args))!;
    assert.deepEqual([parsed.options, parsed.files], [options, words(files)]);
  });
}

const refused: readonly (readonly [args: string, message: string])[] = [
  ["-x", 'Unknown option "-x"'],
  ["-cxp", 'Unknown option "-xp"'],
  ["-ä", 'Unknown option "-ä"'],
  ["-5", 'Unknown option "-5"; for a file write "./-5"'],
  ["---", 'Unknown option "---"'],
  ["--comprss", 'Unknown option "--comprss": did you mean --compress?'],
  ["--targt-format=raw -y", 'Unknown option "--targt-format=raw": did you mean --target-format?'],
  ["--comp", 'Cannot tell which option "--comp" is: it may be --compress or --compression-level'],
  ["--compress=3", "Cannot give a value to --compress: it takes none"],
  ["--help=c", "Cannot give a value to --help: it takes none"],
  ["a -O", 'Option "-O, --target-format <fmt>" argument missing'],
  ["a -co", 'Option "-o <fmt>" argument missing'],
  ["a --target-format", 'Option "-O, --target-format <fmt>" argument missing'],
];

for (const [args, message] of refused) {
  Deno.test(`arguments refused: ${args}`, () => {
    assert.throws(() => parseArgs(def, words(args)), { kind: "usage", message });
  });
}

Deno.test("help is asked for anywhere before --, whatever else is wrong", () => {
  for (const args of ["-h", "--help", "--hel", "a -ch", "-x --help", "--nonsense -h", "-h -O"]) {
    assert.equal(parseArgs(def, words(args)), null, args);
  }
  for (const args of ["-- -h", "-O -h", "--allow-ref --help"]) assert.notEqual(parseArgs(def, words(args)), null, args);
});

Deno.test("the order of options is that of the arguments", () => {
  assert.deepEqual(parseArgs(def, words("--allow-ref=b -pc a --allow-ref --compress"))!.order, [
    "allow-ref",
    "p",
    "compress",
    "allow-ref",
  ]);
});

Deno.test("arguments are completed as they are read, and one switch is left out", () => {
  const complete = (args: string, except?: string) => completeArgs(def, words(args), except).join(" ");
  assert.equal(complete("-pcO raw --allow x --prog --x -- --comp"), "-pcO raw --allow-ref x -p --x -- --comp");
  assert.equal(
    complete("--compress a --allow-ref --compress -- --compress", "compress"),
    "a --allow-ref --compress -- --compress",
  );
});

function words(text: string): string[] {
  return text === "" ? [] : text.split(" ");
}
