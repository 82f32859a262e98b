/**
 * Random arguments: each becomes a job, a help text or an error of usage, and nothing else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ImageError } from "../../../mod.ts";
import { completeArgs } from "../../../cli/args/parse_args.ts";
import { convertCommand } from "../../../cli/commands/convert.ts";
import { sourceFromOptions } from "../../../cli/args/image_opts.ts";
import { treeOfJson, treeOfOptions } from "../../../cli/args/option_tree.ts";
import { rng, seed } from "../../support/qemu.ts";
import { parsed } from "../support.ts";

const ROUNDS = 1000;

const ARGS = [
  ..."a b c d e.raw f.raw g.raw - -- --- -x -1 = , ,, a=b help ? 4k 0 raw qcow2 x:y file:z json:{} none on 7".split(
    " ",
  ),
  "",
  ...convertCommand.options.flatMap(({ short, long }) => [
    ...(short === undefined ? [] : [`-${short}`, `-${short}4k`, `-p${short}`]),
    ...(long === undefined ? [] : [`--${long}`, `--${long}=on`, `--${long.slice(0, 5)}`]),
  ]),
];

async function refusalOrResult<T>(action: () => T | Promise<T>, input: unknown): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    assert(error instanceof ImageError, `${JSON.stringify(input)}: ${error instanceof Error ? error.stack : error}`);
    return undefined;
  }
}

Deno.test("random arguments are a request or a refusal", async () => {
  const random = rng(seed());
  const kinds = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const args = Array.from({ length: random.int(8) }, () => random.pick(ARGS));
    kinds.add((await refusalOrResult(() => parsed(args), args))?.kind ?? "refused");
  }
  assert(kinds.has("job") && kinds.has("refused"));
});

Deno.test("completing arguments twice changes nothing", async () => {
  const random = rng(seed());
  for (let round = 0; round < ROUNDS; round++) {
    const args = Array.from({ length: random.int(8) }, () => random.pick(ARGS));
    const once = await refusalOrResult(() => completeArgs(convertCommand, args), args);
    if (once !== undefined) assert.deepEqual(completeArgs(convertCommand, once), once, JSON.stringify(args));
  }
});

Deno.test("random descriptions are an image or a refusal", async () => {
  const random = rng(seed());
  const parts = "driver file filename backing data-file . . . = = , , ,, raw qcow2 X offset size 1k on read-only no"
    .split(" ");
  let images = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = "file.filename=X,".repeat(random.int(2)) +
      Array.from({ length: random.int(10) }, () => random.pick(parts)).join("");
    if (await refusalOrResult(() => sourceFromOptions(treeOfOptions(text)), text)) images++;
    await refusalOrResult(() => sourceFromOptions(treeOfJson(text)), text);
  }
  assert(images > 0);
});
