import assert from "node:assert/strict";
import type { CreatePlan } from "../../../formats/contract.ts";
import type { OptionValues } from "../../../formats/options.ts";
import { createQcow2 } from "../../../formats/qcow2/create.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readerOf, workAtRandom } from "../../support/model.ts";
import { hasQemu, rng, scratch, seed } from "../../support/qemu.ts";
import { assertJudged, save } from "./write_support.ts";

const runSeed = seed();
const tight = { l2Bytes: 4096, refcountBytes: 4096, pendingReleases: 8 };

/** Returns `inner` with some members replaced. */
function withMembers(inner: MemoryStorage, changes: Partial<WritableStorage>): WritableStorage {
  return {
    label: inner.label,
    get size() {
      return inner.size;
    },
    startsZeroed: inner.startsZeroed,
    zeroesCheaply: inner.zeroesCheaply,
    readAt: (into, fileOffset) => inner.readAt(into, fileOffset),
    writeAt: (from, fileOffset) => inner.writeAt(from, fileOffset),
    zeroAt: (start, end) => inner.zeroAt(start, end),
    truncate: (size) => inner.truncate(size),
    reserve: (start, end, written) => inner.reserve(start, end, written),
    sync: () => inner.sync(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
    ...changes,
  };
}

function planOf(size: number, options: OptionValues, compress = false): CreatePlan {
  return { size, options, backing: null, compress };
}

const standalone = { ...inlineCodecs, createNamed: () => Promise.reject(new Error("No further file")), backing: null };

for (const compress of [false, true]) {
  for (const options of [{ cluster_size: 512 }, { cluster_size: 4096, refcount_bits: 64 }, { cluster_size: 65536 }]) {
    Deno.test({
      name: `a new image never reads back what it wrote: ${JSON.stringify(options)}${compress ? ", compressed" : ""}`,
      ignore: !hasQemu,
      async fn() {
        const random = rng(runSeed);
        const inner = new MemoryStorage();
        const storage = withMembers(inner, { readAt: () => Promise.reject(new Error("Write-only")) });
        const model = new Uint8Array(40 * options.cluster_size * 64).subarray(0, 12 << 20);
        const writer = await createQcow2(storage, planOf(model.length, options, compress), standalone, tight);
        const step = Math.max(options.cluster_size, 8192);
        for (let at = 0; at < model.length; at += step) {
          if (random.chance(0.3)) continue;
          const bytes = random.bytes(Math.min(step, model.length - at));
          if (compress) bytes.fill(7, bytes.length / 4);
          model.set(bytes, at);
          await writer.write(bytes, at);
        }
        await writer.finish();
        await using folder = await scratch();
        await assertJudged(await save({ storage: inner, named: new Map() }, folder), model);
      },
    });
  }
}

const onDevice: OptionValues[] = [
  {},
  { compat: "0.10", cluster_size: 4096 },
  { cluster_size: 512 },
  { extended_l2: true },
  { preallocation: "metadata" },
  { preallocation: "full" },
];

for (const options of onDevice) {
  Deno.test({
    name: `old bytes of a device never show in a new image: ${JSON.stringify(options)}`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(runSeed);
      const inner = new MemoryStorage(new Uint8Array(24 << 20).fill(0xee), "device");
      const model = new Uint8Array(5 << 20);
      const writer = await createQcow2(
        withMembers(inner, { startsZeroed: false }),
        planOf(model.length, options),
        standalone,
        tight,
      );
      assert.equal(writer.traits.startsZeroed, true);
      await workAtRandom(writer, model, random, 40);
      await writer.finish();
      assert.equal(inner.size, 24 << 20);
      await using folder = await scratch();
      await assertJudged(await save({ storage: inner, named: new Map() }, folder), model);
    },
  });
}

Deno.test("long writes are few requests", async () => {
  const inner = new MemoryStorage();
  const writes: number[] = [];
  const storage = withMembers(inner, {
    writeAt(from, fileOffset) {
      writes.push(from.length);
      return inner.writeAt(from, fileOffset);
    },
  });
  const writer = await createQcow2(storage, planOf(64 << 20, {}), standalone);
  for (let at = 0; at < 64 << 20; at += 1 << 20) await writer.write(new Uint8Array(1 << 20).fill(1), at);
  assert.deepEqual(writes, Array.from({ length: 64 }, () => 1 << 20));
  await writer.finish();
  assert(writes.length <= 64 + 5, `${writes.length} writes`);
});

Deno.test("calls may overlap, and the same calls make the same file", async () => {
  const files: Uint8Array[] = [];
  for (let round = 0; round < 2; round++) {
    const storage = new MemoryStorage();
    const random = rng(runSeed);
    // Compression of the later call ends first.
    let delay = 20;
    const compress = async (_: unknown, unit: Uint8Array) => {
      await new Promise((done) => setTimeout(done, delay--));
      return unit.subarray(0, 1000);
    };
    const writer = await createQcow2(storage, planOf(1 << 20, {}, true), { ...standalone, compressor: compress });
    await Promise.all(Array.from({ length: 16 }, (_, at) => writer.write(random.bytes(65536), at * 65536)));
    await writer.finish();
    files.push(storage.bytes());
  }
  assertBytes(files[0]!, files[1]!);
});

Deno.test("after a failed write nothing more is written, and the image stays unfinished", async () => {
  const inner = new MemoryStorage();
  let left = 3;
  const storage = withMembers(inner, {
    writeAt: (from, fileOffset) => left-- > 0 ? inner.writeAt(from, fileOffset) : Promise.reject(new Error("Full")),
  });
  const writer = await createQcow2(storage, planOf(1 << 20, {}), standalone);
  const bytes = new Uint8Array(65536).fill(1);
  for (let at = 0; at < 3; at++) await writer.write(bytes, at * 65536);
  await assert.rejects(writer.write(bytes, 3 * 65536), /Full/);
  left = 100;
  await assert.rejects(writer.finish(), /Full/);
  assert.notEqual(inner.bytes()[0], 0x51);
});

Deno.test("a part of a cluster over a backing file that is not open cannot be written", async () => {
  const plan = { size: 1 << 20, options: {}, backing: { name: "backing.raw", format: "raw" }, compress: false };
  const writer = await qcow2.create!(new MemoryStorage(), plan, standalone);
  await writer.write(new Uint8Array(65536), 0);
  await assert.rejects(writer.write(new Uint8Array(512), 65536), { kind: "unsupported" });
});

Deno.test("a backing file may be shorter than the image", async () => {
  const backing = new Uint8Array(70000).fill(9);
  const plan = { size: 1 << 20, options: {}, backing: { name: "backing.raw", format: "raw" }, compress: false };
  const storage = new MemoryStorage();
  const writer = await qcow2.create!(storage, plan, { ...inlineCodecs, ...standalone, backing: readerOf(backing) });
  await writer.write(new Uint8Array(512).fill(1), 65536 + 512);
  await writer.finish();
  const disk = await qcow2.open(storage, { ...inlineCodecs, openNamed: () => Promise.reject() });
  const bytes = new Uint8Array(65536);
  await disk.read(bytes, 65536);
  const expected = new Uint8Array(65536);
  expected.set(backing.subarray(65536));
  expected.fill(1, 512, 1024);
  assertBytes(bytes, expected);
});
