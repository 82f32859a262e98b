import assert from "node:assert/strict";
import { compressedExtent, dataExtent, type GuestReader, ImageError } from "../../../formats/mod.ts";
import { granularityOf, mergedRanges, skippingErrors } from "../../../core/open/skip_errors.ts";

const MIB = 1 << 20;
const KIB = 1024;

/** Bytes of `size`, each 1; what lies in `bad` fails as `how` says. */
function damaged(size: number, bad: readonly [number, number], how: "tables" | "compressed" | "sectors") {
  const [from, to] = bad;
  let calls = 0;
  const touches = (start: number, end: number) => start < to && end > from;
  const fail = () => new ImageError("corrupt", "Cannot read the table");
  const reader: GuestReader = {
    size,
    clusterSize: 1,
    // deno-lint-ignore require-await
    async extentAt(start, limit) {
      calls++;
      const inside = start >= from && start < to;
      if (inside && how === "tables") throw fail();
      const end = inside ? Math.min(limit, to) : start < from ? Math.min(limit, from) : limit;
      return how === "compressed" ? compressedExtent(start, end) : dataExtent(start, end);
    },
    // deno-lint-ignore require-await
    async read(into, start) {
      calls++;
      if (touches(start, start + into.length)) throw fail();
      into.fill(1);
    },
  };
  return { reader, calls: () => calls };
}

/** Reads a disk in pieces as a copy does; returns the ranges that are zero, and those that were reported. */
async function readSkipping(reader: GuestReader, granularity: number, piece: number) {
  const reported: { start: number; end: number }[] = [];
  const safe = skippingErrors(reader, granularity, (start, end) => reported.push({ start, end }));
  const zero: { start: number; end: number }[] = [];
  for (let at = 0; at < safe.size;) {
    const run = await safe.extentAt(at, safe.size);
    for (; at < run.end;) {
      const bytes = new Uint8Array(Math.min(piece - at % piece, run.end - at));
      await safe.read(bytes, at);
      for (let nth = 0; nth < bytes.length; nth += 512) {
        if (bytes[nth] === 0) zero.push({ start: at + nth, end: at + Math.min(nth + 512, bytes.length) });
      }
      at += bytes.length;
    }
  }
  return { reported, zero: mergedRanges(zero) };
}

for (const how of ["tables", "compressed"] as const) {
  Deno.test(`${how} that are damaged cost a few requests a cluster, not one a sector`, async () => {
    const [from, to] = [2 * MIB, 34 * MIB];
    const { reader, calls } = damaged(64 * MIB, [from, to], how);
    const { reported, zero } = await readSkipping(reader, 64 * KIB, 256 * KIB);
    assert.deepEqual(zero, [{ start: from, end: to }]);
    assert.deepEqual(mergedRanges(reported), zero);
    assert(calls() < 10 * (to - from) / (64 * KIB), `${calls()} requests`);
  });
}

Deno.test("of plain data only the sectors that cannot be read are lost", async () => {
  for (const [from, to] of [[5 * 512, 6 * 512], [65536 - 512, 65536 + 1024], [0, 512], [3 * 65536 + 512, 4 * 65536]]) {
    const { reader } = damaged(MIB + 100, [from, to], "sectors");
    for (const granularity of [512, 64 * KIB, 2 * MIB]) {
      const { reported, zero } = await readSkipping(reader, granularity, 256 * KIB);
      assert.deepEqual(zero, [{ start: from, end: to }], `${from} to ${to}, granularity ${granularity}`);
      assert.deepEqual(mergedRanges(reported), zero);
    }
  }
});

Deno.test("the granularity is the smallest cluster size of all layers, at least a sector", () => {
  const granularity = (...sizes: number[]) => granularityOf(sizes.map((clusterSize) => ({ clusterSize })));
  assert.deepEqual([
    granularity(),
    granularity(1),
    granularity(65536),
    granularity(65536, 4096, 1),
    granularity(512, 65536),
  ], [
    512,
    512,
    65536,
    4096,
    512,
  ]);
});

Deno.test("ranges that touch become one", () => {
  const ranges = [{ start: 8, end: 9 }, { start: 0, end: 2 }, { start: 2, end: 4 }, { start: 3, end: 4 }];
  assert.deepEqual(mergedRanges(ranges), [{ start: 0, end: 4 }, { start: 8, end: 9 }]);
});
