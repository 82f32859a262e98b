/** The look-ups of holes that reach the host, and the answers after writes. */
import assert from "node:assert/strict";
import { holeCache } from "../../../formats/storage/hole_cache.ts";
import { rng } from "../../support/qemu.ts";

const BLOCK = 512;

/** A file of these blocks, true for data, and a cache that counts its look-ups. */
function fileOf(blocks: boolean[]) {
  const file = { blocks, lookups: 0, walked: 0 };
  const look = (at: number, limit: number) => {
    const first = Math.floor(at / BLOCK);
    let end = first + 1;
    while (end < blocks.length && blocks[end] === blocks[first]) end++;
    file.lookups++;
    file.walked += end - first;
    return { hole: !blocks[first], end: Math.min(end * BLOCK, limit) };
  };
  return { file, cache: holeCache(look, () => blocks.length * BLOCK) };
}

Deno.test("look-ups inside one extent of a file ask the host once, whatever their limit", () => {
  const { file, cache } = fileOf(Array.from({ length: 1000 }, (_, at) => at < 600));
  for (let at = 0; at < 1000; at++) {
    assert.deepEqual(cache.holeAt(at * BLOCK, (at + 1) * BLOCK), { hole: at >= 600, end: (at + 1) * BLOCK });
  }
  assert.equal(file.lookups, 2);
});

Deno.test("blocks in descending or random order do not walk over the same data each time", () => {
  const random = rng(7);
  const descending = Array.from({ length: 4096 }, (_, at) => 4095 - at);
  for (const order of [descending, descending.toSorted(() => random.int(3) - 1)]) {
    const { file, cache } = fileOf(new Array(4096).fill(true));
    for (const at of order) assert.equal(cache.holeAt(at * BLOCK, (at + 1) * BLOCK)?.hole, false);
    assert.ok(file.walked < 6 * 4096, `walked over ${file.walked} blocks`);
  }
});

Deno.test("two extents that are looked up in turn are both kept", () => {
  const { file, cache } = fileOf(Array.from({ length: 100 }, (_, at) => at < 40 || at >= 60));
  for (let at = 0; at < 40; at++) for (const from of [0, 60]) cache.holeAt((from + at) * BLOCK, 100 * BLOCK);
  assert.equal(file.lookups, 2);
});

Deno.test("what is written is no hole, and what is zeroed no data", () => {
  const random = rng(3);
  const { file, cache } = fileOf(Array.from({ length: 200 }, () => random.int(4) > 0));
  for (let step = 0; step < 3000; step++) {
    const at = random.int(200);
    const end = Math.min(200, at + random.int(1, 20));
    if (random.int(3) === 0) {
      const data = random.int(2) === 0;
      file.blocks.fill(data, at, end);
      cache[data ? "wrote" : "zeroed"](at * BLOCK, end * BLOCK);
      continue;
    }
    const found = cache.holeAt(at * BLOCK, end * BLOCK)!;
    assert.ok(found.end > at * BLOCK && found.end <= end * BLOCK);
    for (let block = at; block < found.end / BLOCK; block++) assert.equal(file.blocks[block], !found.hole);
  }
});

Deno.test("a host that refuses is asked each time, as the caller expects", () => {
  const cache = holeCache(() => null, () => 4096);
  assert.equal(cache.holeAt(0, 512), null);
});
