import assert from "node:assert/strict";
import { type Action, countTotals, decide, type Policy, type Step, stepsOf } from "../../../core/copy/plan.ts";
import {
  compressedExtent,
  dataExtent,
  type Extent,
  type GuestReader,
  holeExtent,
  MemoryStorage,
  type WriterTraits,
  zeroExtent,
} from "../../../formats/mod.ts";

const fresh: WriterTraits = {
  size: 1 << 20,
  clusterSize: 65536,
  sector: 512,
  compress: false,
  order: "any",
  startsZeroed: true,
  zeroes: "cheap",
};
const used: WriterTraits = { ...fresh, startsZeroed: false };
const alone: Policy = { keepsBacking: false, backingEnd: 0, writesZeroes: false };
const overlay: Policy = { keepsBacking: true, backingEnd: 4096, writesZeroes: false };

const data = dataExtent(0, 512);
const zero = zeroExtent(0, 512);
const hole = holeExtent(0, 512);
const lateZero = zeroExtent(4096, 4608);
const lateHole = holeExtent(4096, 4608);

const table: [string, Extent, WriterTraits, Policy, Action][] = [
  ["data goes to a fresh target", data, fresh, alone, "copy"],
  ["data goes to a used target", data, used, alone, "copy"],
  ["data goes to an overlay", data, used, overlay, "copy"],
  ["compressed data goes too", compressedExtent(0, 512), fresh, alone, "copy"],
  ["data past the backing file's end goes too", dataExtent(4096, 4608), used, overlay, "copy"],
  ["zeroes are there already in a fresh target", zero, fresh, alone, "skip"],
  ["zeroes must be written over what is there", zero, used, alone, "zero"],
  ["zeroes hide the backing file", zero, used, overlay, "zero"],
  ["zeroes past the backing file's end need not", lateZero, used, overlay, "skip"],
  ["what the backing file shows is left alone", hole, used, overlay, "skip"],
  ["nothing is written past the backing file's end", lateHole, used, overlay, "skip"],
  ["-S 0 writes zeroes like data", zero, fresh, { ...alone, writesZeroes: true }, "copy"],
  ["-S 0 into a used target too", zero, used, { ...alone, writesZeroes: true }, "copy"],
  ["-S 0 leaves the backing file alone", hole, used, { ...overlay, writesZeroes: true }, "skip"],
  ["-S 0 hides the backing file with data", zero, used, { ...overlay, writesZeroes: true }, "copy"],
  ["-S 0 writes nothing past the backing file's end", lateZero, used, { ...overlay, writesZeroes: true }, "skip"],
  ["an unknown backing end covers everything", lateZero, used, { ...overlay, backingEnd: Infinity }, "zero"],
];

for (const [name, extent, traits, policy, action] of table) {
  Deno.test(`decide: ${name}`, () => assert.equal(decide(extent, traits, policy), action));
}

/** A reader of made-up extents, `[end, kind]` each. */
function extentsOf(...ends: [number, Extent["kind"]][]): GuestReader & { asked: number } {
  return {
    size: ends[ends.length - 1][0],
    clusterSize: 1,
    asked: 0,
    extentAt(start, limit) {
      this.asked++;
      const [end, kind] = ends.find(([end]) => start < end)!;
      const extent = { start, end: Math.min(end, limit) };
      return Promise.resolve(kind === "data" ? { ...extent, kind, compressed: false } : { ...extent, kind });
    },
    read: () => Promise.reject(new Error("planning must not read")),
  };
}

async function walk(source: GuestReader, traits: WriterTraits, policy: Policy): Promise<Step[]> {
  const steps: Step[] = [];
  let at = 0;
  for await (const step of stepsOf(source, traits, policy)) {
    assert.equal(step.start, at);
    assert.ok(step.end > at && step.end <= source.size);
    steps.push(step);
    at = step.end;
  }
  return steps;
}

const brief = (steps: readonly Step[]) =>
  steps.map(({ action, kind, start, end }) => `${action} ${kind} ${start}-${end}`);

Deno.test("stepsOf: a step has one status, and neighbours of one status are one step", async () => {
  const source = extentsOf([512, "data"], [1024, "data"], [2048, "zero"], [2560, "hole"], [4096, "data"]);
  assert.deepEqual(brief(await walk(source, used, overlay)), [
    "copy data 0-1024",
    "zero zero 1024-2048",
    "skip hole 2048-2560",
    "copy data 2560-4096",
  ]);
});

Deno.test("stepsOf: an extent is cut at the end of a shorter backing file", async () => {
  const source = extentsOf([1000, "data"], [8192, "zero"]);
  assert.deepEqual(brief(await walk(source, used, overlay)), [
    "copy data 0-1000",
    "zero zero 1000-4096",
    "skip zero 4096-8192",
  ]);
});

Deno.test("stepsOf: a target that compresses gets whole clusters, whatever the extents are", async () => {
  const compress = { ...used, clusterSize: 4096, compress: true };
  const policy = { ...overlay, backingEnd: 1 << 20 };
  const source = extentsOf(
    [4096, "hole"], // a cluster of its own
    [5000, "data"], // these three share a cluster
    [6000, "zero"],
    [9000, "hole"], // reaches into the next one
    [12288, "zero"], // which is mixed, too
    [16384, "zero"],
    [20000, "data"],
    [20480, "data"],
    [21000, "hole"], // the last cluster is short
  );
  assert.deepEqual(brief(await walk(source, compress, policy)), [
    "skip hole 0-4096",
    "copy data 4096-12288",
    "zero zero 12288-16384",
    "copy data 16384-20480",
    "skip hole 20480-21000",
  ]);
});

Deno.test("stepsOf: a cluster whose parts share one action is not read", async () => {
  const compress = { ...fresh, clusterSize: 4096, compress: true };
  const source = extentsOf([1000, "zero"], [1500, "zero"], [8192, "zero"]);
  assert.deepEqual(brief(await walk(source, compress, alone)), ["skip zero 0-8192"]);
});

Deno.test("countTotals: the walk that counts is the walk that copies", async () => {
  const source = extentsOf([512, "data"], [2048, "zero"], [2560, "hole"], [8192, "data"]);
  const totals = { data: 0, zero: 0, skip: 0 };
  for (const { action, start, end } of await walk(source, used, overlay)) {
    totals[action === "copy" ? "data" : action] += end - start;
  }
  assert.deepEqual(await countTotals(source, used, overlay, () => Promise.resolve()), totals);
  assert.deepEqual(totals, { data: 6144, zero: 1536, skip: 512 });
});

Deno.test("stepsOf: every extent is looked up once", async () => {
  const kinds = ["data", "zero", "hole"] as const;
  const source = extentsOf(
    ...Array.from({ length: 30 }, (_, at): [number, Extent["kind"]] => [(at + 1) * 512, kinds[at % 3]]),
  );
  await walk(source, fresh, alone);
  assert.equal(source.asked, 30);
});

Deno.test("stepsOf: many small extents are walked in parts, so that a walk can be stopped", async () => {
  const source = extentsOf(
    ...Array.from({ length: 5000 }, (_, index): [number, "zero"] => [(index + 1) * 512, "zero"]),
  );
  await stepsOf(source, fresh, alone).next();
  assert.ok(source.asked < 1000, `asked ${source.asked} times`);
});

Deno.test("stepsOf: so are small extents that are contiguous in their file, though they are joined", async () => {
  const storage = new MemoryStorage();
  let asked = 0;
  const source: GuestReader = {
    size: 5000 * 512,
    clusterSize: 512,
    extentAt: (start) => (asked++, zeroExtent(start, start + 512, { storage, offset: 100 + start })),
    read: () => Promise.reject(new Error("planning must not read")),
  };
  const { value } = await stepsOf(source, fresh, alone).next();
  assert.ok(asked < 1000, `asked ${asked} times`);
  assert.ok(value && value.end < source.size);
  assert.deepEqual(value.extents, [zeroExtent(0, value.end, { storage, offset: 100 })]);
});

/** Sectors of data and of zeroes in turn. */
const alternating = (sectors: number): [number, Extent["kind"]][] =>
  Array.from({ length: sectors }, (_, at) => [(at + 1) * 512, at % 2 === 0 ? "data" : "zero"]);

Deno.test("stepsOf: short zeroes after data are copied with it", async () => {
  const source = extentsOf(...alternating(63), [200 * 512, "zero"]);
  const steps = await walk(source, fresh, { ...alone, leastZeroes: 4096 });
  assert.deepEqual(steps.map(({ kind, start, end }) => [kind, start, end]), [
    ["data", 0, 63 * 512],
    ["zero", 63 * 512, 200 * 512],
  ]);
  assert.equal(steps[0].extents.length, 63);
});

Deno.test("stepsOf: zeroes are no part of data where they are as long as -S says, or as a cluster of the target", async () => {
  const count = async (traits: WriterTraits, policy: Policy) =>
    (await walk(extentsOf(...alternating(64)), traits, policy)).length;
  assert.equal(await count(fresh, { ...alone, leastZeroes: 512 }), 64);
  assert.equal(await count({ ...fresh, clusterSize: 512 }, { ...alone, leastZeroes: 4096 }), 64);
  assert.equal(await count({ ...fresh, clusterSize: 1 }, { ...alone, leastZeroes: 4096 }), 1);
  assert.equal(await count(fresh, alone), 64);
});

Deno.test("stepsOf: extents of a step are joined where they are contiguous in one file, and only there", async () => {
  const storage = new MemoryStorage();
  const offsets = [0, 4096, 16384, 20480];
  const source: GuestReader = {
    size: 4 * 4096,
    clusterSize: 4096,
    extentAt: (start) => dataExtent(start, start + 4096, { storage, offset: offsets[start / 4096] }),
    read: () => Promise.reject(new Error("planning must not read")),
  };
  const [{ extents }, ...others] = await walk(source, fresh, alone);
  assert.deepEqual(others, []);
  assert.deepEqual(extents, [
    dataExtent(0, 8192, { storage, offset: 0 }),
    dataExtent(8192, 16384, { storage, offset: 16384 }),
  ]);
});

Deno.test("stepsOf: a step of data ends after 64 MiB or the extent beyond, one of zeroes does not", async () => {
  const MIB = 1 << 20;
  const ends = [40, 80, 100, 300].map((end): [number, "data"] => [end * MIB, "data"]);
  const source = extentsOf(...ends, [500 * MIB, "zero"], [600 * MIB, "zero"]);
  assert.deepEqual((await walk(source, fresh, alone)).map(({ start, end }) => [start / MIB, end / MIB]), [
    [0, 80],
    [80, 300],
    [300, 600],
  ]);
});
