import assert from "node:assert/strict";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { tryVerbs } from "../../support/hostile.ts";
import { rng, rounds, seed } from "../../support/qemu.ts";
import { make } from "./support.ts";

const runSeed = seed();
const MIB = 1 << 20;

Deno.test("damaged images under every verb are changed or refused, and soon", async () => {
  const random = rng(runSeed);
  for (const subformat of ["monolithicSparse", "streamOptimized"]) {
    const { storage, writer } = await make("image", 40 * MIB, { subformat });
    for (const at of [0, 1, 39]) await writer.write(new Uint8Array(65536).fill(at + 1), at * MIB);
    await writer.finish();
    const valid = storage.bytes().slice();
    const view = new DataView(valid.buffer);
    const locations = [0, 512, 56, 48].map((at, nth) => nth < 2 ? at : view.getUint32(at, true) * 512)
      .filter((at) => at < valid.length - 4096);
    let done = await tryVerbs(vmdk, valid);
    assert(done > 2);
    for (let round = 0; round < rounds(15, 40); round++) {
      const image = valid.slice(0, random.chance(0.1) ? random.int(valid.length) : valid.length);
      for (let count = random.int(1, 6); count > 0; count--) {
        // Header, descriptor, directories and the tables behind them.
        const at = random.pick(locations) + random.int(random.pick([90, 512, 2300]));
        if (at < image.length) image[at] = random.pick([0, 1, 0xff, random.int(256), image[at] ^ 1 << random.int(8)]);
      }
      done += await tryVerbs(vmdk, image);
    }
    assert(done > rounds(20, 40), `${done}`);
  }
});
