/**
 * The two readers of words: ours takes what is right as commander takes it, and leaves everything else to commander.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ImageError } from "../../../mod.ts";
import { commandDefs } from "../../../cli/commands/mod.ts";
import { readWithCommander } from "../../../cli/args/commander.ts";
import { completeArgs } from "../../../cli/args/getopt.ts";
import { readWords } from "../../../cli/args/parse_args.ts";
import type { CommandDef, ParsedArgs } from "../../../cli/commands/command.ts";
import { type Rng, rng, seed } from "../../support/qemu.ts";

const ROUNDS = 500;
const SEED = seed();

/** Commander finds numbers, "--" and long options in the rest of a group of short ones; that is left to it. */
const ODD = /^-[^-]+[-0-9]/;

/** Words that any command may be given. */
const PLAIN = [
  "a",
  "b.raw",
  "-",
  "--",
  "",
  "=",
  "a=b",
  "ä",
  "--help",
  "-h",
  "-",
  "--=",
  "--no",
  "-x",
  "-ä",
  "-\0",
  "---",
];

/** What may stand in a group of short options. */
function letters({ options }: CommandDef): string[] {
  return ["-", "=", "h", "4", ...options.flatMap(({ short, alias }) => [short ?? [], alias ?? []].flat())];
}

function randomWord(def: CommandDef, random: Rng): string {
  const long = random.pick(def.options).long;
  switch (random.int(5)) {
    case 0:
      return random.pick(PLAIN);
    case 1:
      return `-${Array.from({ length: 1 + random.int(3) }, () => random.pick(letters(def))).join("")}`;
    case 2:
      return `--${long}${random.pick(["=", "=v", "=a=b", "=--", "=\n"])}`;
    default:
      return `--${long}`;
  }
}

/** `null` for a refusal and for help. */
function commanders(def: CommandDef, words: readonly string[]): ParsedArgs | null {
  try {
    const read = readWithCommander(def, words);
    return "help" in read ? null : read;
  } catch (error) {
    assert(error instanceof ImageError && error.kind === "usage", `${error}`);
    return null;
  }
}

function completed(def: CommandDef, args: readonly string[]): string[] | null {
  try {
    return completeArgs(args, def);
  } catch {
    return null;
  }
}

for (const def of (await commandDefs()).filter(({ options }) => options.length > 0)) {
  Deno.test(`words of ${def.name} are read as commander reads them`, () => {
    const random = rng(SEED);
    const outcomes = { read: 0, left: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const words = completed(def, Array.from({ length: random.int(6) }, () => randomWord(def, random)));
      if (words === null) continue;
      const read = readWords(def, words);
      if (read === null && words.some((word) => ODD.test(word))) continue;
      assert.deepEqual(read, commanders(def, words), JSON.stringify(words));
      outcomes[read === null ? "left" : "read"]++;
    }
    assert(outcomes.read > ROUNDS / 20 && outcomes.left > ROUNDS / 20, JSON.stringify(outcomes));
  });
}
