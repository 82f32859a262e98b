import assert from "node:assert/strict";
import type { CommandDef } from "../../cli/commands/command.ts";
import { commandNamed, definitionOf } from "../../cli/commands/mod.ts";
import { hasQemu, qemuImgOk } from "../support/qemu.ts";

function defOf(name: string): Promise<CommandDef> {
  return definitionOf(commandNamed(name));
}

/** The options of a command: `-x`, `--extra`. */
async function optionsOf(name: string): Promise<Set<string>> {
  const def = await defOf(name);
  return new Set(
    def.options.flatMap(({ short, alias, long }) => [
      ...(short === undefined ? [] : [`-${short}`]),
      ...(alias === undefined ? [] : [`-${alias}`]),
      ...(long === undefined ? [] : [`--${long}`]),
    ]),
  );
}

Deno.test(
  "diskcast has every command of qemu-img, with every option of its synopsis",
  { ignore: !hasQemu },
  async () => {
    const help = await qemuImgOk("--help");
    const synopses = help.slice(help.indexOf("Command syntax:")).split("\n\n")[0]!.split("\n").slice(1);
    assert(synopses.length >= 15);
    for (const line of synopses) {
      const [name, ...rest] = line.trim().split(" ");
      const wanted = rest.join(" ").match(/(?<![\w-])--?[A-Za-z][\w-]*/g) ?? [];
      const options = await optionsOf(name!);
      assert.deepEqual(wanted.filter((option) => !options.has(option)), [], name);
    }
  },
);

/** The long names of QEMU 10.1. */
const LONG_NAMES: readonly (readonly [command: string, names: string])[] = [
  ["amend", "-o/--options -t/--cache -f/--format -p/--progress -q/--quiet"],
  [
    "bench",
    "-c/--count -d/--depth -s/--buffer-size -S/--step-size -o/--offset -w/--write -i/--aio -n/--native -t/--cache",
  ],
  ["bitmap", "-b/--source-file -F/--source-format -g/--granularity -f/--format"],
  ["check", "-r/--repair -T/--cache -U/--force-share -f/--format"],
  ["commit", "-t/--cache -d/--drop -b/--base -r/--rate-limit -p/--progress"],
  ["compare", "-f/--a-format -F/--b-format -T/--cache -s/--strict"],
  ["convert", "-f/--source-format -T/--source-cache -O/--target-format -o/--target-format-options -t/--target-cache"],
  ["convert", "-b/--backing -F/--backing-format -S/--sparse-size -n/--no-create -r/--rate-limit -m/--parallel"],
  ["convert", "-W/--oob-writes -C/--copy-range-offloading -l/--snapshot"],
  ["create", "-f/--format -o/--options -b/--backing -B/--backing-format -u/--backing-unsafe -q/--quiet"],
  ["dd", "-f/--format -U/--force-share"],
  ["measure", "-s/--size -l/--snapshot -O/--target-format -o/--target-format-options -f/--format"],
  ["map", "-s/--start-offset -l/--max-length -f/--format -U/--force-share"],
  ["rebase", "-b/--backing -B/--backing-format -u/--backing-unsafe -c/--compress -t/--cache -T/--backing-cache"],
  ["snapshot", "-l/--list -a/--apply -c/--create -d/--delete -f/--format -U/--force-share"],
];

Deno.test("long names are those of QEMU 10.1", async () => {
  for (const [name, pairs] of LONG_NAMES) {
    const def = await defOf(name);
    for (const pair of pairs.split(" ")) {
      const [short, long] = pair.split("/").map((word) => word.replace(/^-+/, ""));
      // -p has no long name of its own here: --progress alone is the same.
      const found = def.options.find((one) => one.long === long);
      const same = found?.short === short || found?.alias === short || found?.aloneIs === `-${short}`;
      assert(same, `${name}: ${pair} is ${JSON.stringify(found)}`);
    }
  }
});
