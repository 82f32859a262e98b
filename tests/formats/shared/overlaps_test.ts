import assert from "node:assert/strict";
import { fileRanges } from "../../../formats/shared/overlaps.ts";
import { rng, seed } from "../../support/qemu.ts";

const runSeed = seed();

Deno.test("places that overlap are found, and no others", () => {
  const random = rng(runSeed);
  for (let round = 0; round < 500; round++) {
    const places = Array.from({ length: random.int(12) }, () => {
      const start = random.int(200);
      return { start, end: start + random.int(1, 20) };
    });
    const list = fileRanges();
    for (const { start, end } of places) list.add(start, end);
    const { count, starts } = list.overlaps();
    const holding = (byte: number) => places.filter(({ start, end }) => start <= byte && byte < end).length;
    const bytes = Array.from({ length: 220 }, (_, byte) => byte);
    assert.equal(count > 0, bytes.some((byte) => holding(byte) > 1), JSON.stringify(places));
    assert.equal(starts.length, count);
    for (const start of starts) assert(holding(start) > 1, JSON.stringify({ places, start }));
    assert.deepEqual(starts, starts.toSorted((a, b) => a - b));
  }
});

Deno.test("many places are counted, and a thousand of them told", () => {
  const list = fileRanges();
  for (let nth = 0; nth < 100_000; nth++) list.add(0, 4096);
  const { count, starts } = list.overlaps();
  assert.deepEqual([count, starts.length], [99_999, 1000]);
});
