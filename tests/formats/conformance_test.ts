import assert from "node:assert/strict";
import { allFormats } from "../../formats/mod.ts";
import { conformanceCases } from "../support/conformance.ts";
import { rng, seed } from "../support/qemu.ts";

const runSeed = seed();

for (const format of allFormats) {
  for (const one of conformanceCases(format)) {
    if (one.skip) console.log(`skipped: ${format.name} ${one.name}: ${one.skip}`);
    else Deno.test(`${format.name} ${one.name}`, () => one.run(rng(runSeed)));
  }
}

Deno.test("no two formats share a name or a file name ending", () => {
  const names = allFormats.map((format) => format.name);
  const endings = allFormats.flatMap((format) => format.extensions);
  assert.deepEqual(names, [...new Set(names)]);
  assert.deepEqual(endings, [...new Set(endings)]);
});

Deno.test("raw is known and is probed last", () => {
  assert.equal(allFormats.at(-1)?.name, "raw");
});
