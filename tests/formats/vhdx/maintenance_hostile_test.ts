import assert from "node:assert/strict";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { tryVerbs } from "../../support/hostile.ts";
import { type Rng, rng, rounds, seed } from "../../support/qemu.ts";
import { AT, build, GUID, type LogChange, logEntry, MIB, ring, type Spec } from "./build.ts";
import { filled } from "./support.ts";

const runSeed = seed();

function randomLog(random: Rng): Spec {
  const changes: LogChange[] = [];
  for (let count = random.int(1, 5); count > 0; count--) {
    const at = random.pick([AT.bat, AT.metadata, AT.items, AT.regions1, AT.blocks, 16 * MIB, 2 ** 50]);
    changes.push({
      at,
      ...(random.chance(0.5) ? { zeroes: random.pick([4096, MIB, 2 ** 49]) } : { data: filled(2, 4096) }),
    });
  }
  const last = random.pick([0, 9 * MIB, 2 ** 46, 2 ** 51]);
  return { size: 4 * MIB, logGuid: GUID.log, log: ring([[0, logEntry({ sequence: 1, tail: 0, changes, last })]]) };
}

Deno.test("damaged images under every verb are changed or refused, and soon", async () => {
  const random = rng(runSeed);
  let done = 0;
  for (let round = 0; round < rounds(10, 30); round++) {
    const blocks = { 0: { state: 6, content: filled(1) }, 2: { state: 6, content: filled(2) } };
    const image = build(
      random.chance(0.3) ? randomLog(random) : { size: 3 * MIB + 512, blocks, fixed: random.chance(0.2) },
    );
    for (let count = random.int(4); count > 0; count--) {
      const at = random.pick([AT.bat, AT.metadata, AT.items]) + random.int(random.pick([24, 64, 260]));
      image[at] = random.pick([0, 1, 6, 0xff, random.int(256), image[at] ^ 1 << random.int(8)]);
    }
    done += await tryVerbs(vhdx, image);
  }
  assert(done > 60, `${done}`);
});
