import assert from "node:assert/strict";
import type { CreatePlan } from "../../../formats/contract.ts";
import type { Bitmap } from "../../../formats/bitmaps.ts";
import type { NamedFile } from "../../../formats/guest_reader.ts";
import type { OptionValues } from "../../../formats/options.ts";
import { ImageError } from "../../../formats/errors.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { checkPlan } from "../../../formats/qcow2/create_plan.ts";
import { fillOnes, maxRefcount, refcountAt, setRefcount } from "../../../formats/qcow2/refcounts/refcount_block.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { createImage, editImage, workAtRandom } from "../../support/model.ts";
import { hasQemu, qemuImgOk, rng, scratch, seed } from "../../support/qemu.ts";
import { assertClean, save } from "./write_support.ts";

const runSeed = seed();
const backing: NamedFile = { name: "backing.raw", format: "raw" };

function plan(options: OptionValues, more: Partial<CreatePlan> = {}): CreatePlan {
  return { size: 1 << 30, options, backing: null, compress: false, ...more };
}

const refused: [why: RegExp, plan: CreatePlan][] = [
  [/refcount_bits=8.*compat=1\.1/, plan({ refcount_bits: 8, compat: "0.10" })],
  [/refcount_bits=3/, plan({ refcount_bits: 3 })],
  [/compression_type=zstd.*compat=1\.1/, plan({ compression_type: "zstd", compat: "v2" })],
  [/extended_l2.*compat=1\.1/, plan({ extended_l2: true, compat: "0.10" })],
  [/at least 16384/, plan({ extended_l2: true, cluster_size: 8192 })],
  [/lazy_refcounts.*compat=1\.1/, plan({ lazy_refcounts: true, compat: "0.10" })],
  [/data_file.*compat=1\.1/, plan({ data_file: "a.raw", compat: "0.10" })],
  [/cluster_size=65537/, plan({ cluster_size: 65537 })],
  [/cluster_size=256/, plan({ cluster_size: 256 })],
  [/cluster_size=4194304/, plan({ cluster_size: 4 << 20 })],
  [/preallocation=metadata.*backing file/, plan({ preallocation: "metadata" }, { backing })],
  [/preallocation=full.*compression/, plan({ preallocation: "full" }, { compress: true })],
  [/data_file.*compression/, plan({ data_file: "a.raw" }, { compress: true })],
  [/without "data_file"/, plan({ data_file_raw: true })],
  [/data_file_raw.*backing file/, plan({ data_file: "a.raw", data_file_raw: true }, { backing })],
  [/1024 bytes, must have 1 to 1023/, plan({}, { backing: { name: "x".repeat(1024), format: "raw" } })],
  [/without its format/, plan({}, { backing: { name: "backing.raw" } })],
  [/must fit a cluster of 512/, plan({ cluster_size: 512 }, { backing: { name: "x".repeat(400), format: "raw" } })],
  [/128 GiB/, plan({ cluster_size: 512 }, { size: 2 ** 37 + 512 })],
  [/2 PiB/, plan({}, { size: 2 ** 51 + 512 })],
  [/1 PiB/, plan({ extended_l2: true }, { size: 2 ** 50 + 512 })],
  [
    /largest refcount table/,
    plan({ cluster_size: 512, refcount_bits: 64, preallocation: "metadata" }, { size: 2 ** 35 }),
  ],
];

for (const [why, one] of refused) {
  Deno.test(`a plan is refused: ${why.source}`, () => {
    assert.throws(() => checkPlan(one), (error) => {
      assert(error instanceof ImageError);
      assert.equal(error.kind, "usage");
      assert.match(error.message, why);
      return true;
    });
  });
}

const taken: CreatePlan[] = [
  plan({}),
  plan({}, { size: 0 }),
  plan({}, { size: 2 ** 51 }),
  plan({ cluster_size: 512 }, { size: 2 ** 37 }),
  plan({ extended_l2: true }, { size: 2 ** 50 }),
  plan({ compat: "0.10", cluster_size: 2 << 20 }, { backing, compress: true }),
  plan({ extended_l2: true, preallocation: "metadata" }, { backing }),
  plan({ data_file: "a.raw" }, { backing }),
  plan({ compression_type: "zstd", refcount_bits: 1 }, { compress: true }),
  plan({}, { backing: { name: "x".repeat(1023), format: "raw" } }),
];

for (const one of taken) {
  Deno.test(`a plan is taken: ${one.size} bytes, ${JSON.stringify(one.options)}`, () => checkPlan(one));
}

for (const size of [0, 1, 512, 513, 65536, 65537]) {
  Deno.test({
    name: `a disk of ${size} bytes is rounded up to sectors`,
    ignore: !hasQemu,
    async fn() {
      const image = await createImage(qcow2, size);
      if (size > 0) await image.writer.write(new Uint8Array(1).fill(1), size - 1);
      await image.writer.finish();
      await using folder = await scratch();
      const path = await save(image, folder);
      await assertClean(path);
      const info = JSON.parse(await qemuImgOk("info", "--output=json", path));
      assert.equal(info["virtual-size"], Math.ceil(size / 512) * 512);
    },
  });
}

Deno.test({
  name: "qemu-img info shows the options of a new image",
  ignore: !hasQemu,
  async fn() {
    const options = {
      cluster_size: 32768,
      refcount_bits: 8,
      extended_l2: true,
      compression_type: "zstd",
      lazy_refcounts: true,
    };
    const image = await createImage(qcow2, 1 << 30, options, { backing: new Uint8Array(4096) });
    await image.writer.finish();
    await using folder = await scratch();
    const info = JSON.parse(await qemuImgOk("info", "--output=json", await save(image, folder, new Uint8Array(4096))));
    assert.equal(info["cluster-size"], 32768);
    assert.equal(info["backing-filename"], "backing.raw");
    assert.equal(info["backing-filename-format"], "raw");
    const data = info["format-specific"].data;
    assert.equal(data["refcount-bits"], 8);
    assert.equal(data["extended-l2"], true);
    assert.equal(data["compression-type"], "zstd");
    assert.equal(data["lazy-refcounts"], true);
    assert.equal(data.compat, "1.1");
  },
});

Deno.test({
  name: "a new image gets bitmaps, with the bits past its end cleared",
  ignore: !hasQemu,
  async fn() {
    for (const cluster_size of [512, 65536]) {
      const image = await createImage(qcow2, 10 * 65536 + 512, { cluster_size });
      await image.writer.write(new Uint8Array(100).fill(1), 70000);
      const bitmap = (name: string, granularity: number, bits: Uint8Array, enabled = true): Bitmap => ({
        name,
        granularity,
        enabled,
        inconsistent: false,
        async *pieces() {
          yield { offset: 0, bits };
        },
      });
      await image.writer.bitmaps!.add(bitmap("a", 65536, new Uint8Array([0x81, 0xff])));
      await image.writer.bitmaps!.add(bitmap("b", 512, new Uint8Array(161).fill(0xff), false));
      await image.writer.bitmaps!.add(bitmap("empty", 2 ** 31, new Uint8Array(1)));
      for (const bad of [bitmap("a", 512, new Uint8Array(1)), bitmap("", 512, new Uint8Array(1))]) {
        const { writer } = await createImage(qcow2, 1024);
        await writer.bitmaps!.add(bitmap("a", 512, new Uint8Array(1)));
        await assert.rejects(writer.bitmaps!.add(bad), ImageError);
      }
      assert.equal((await createImage(qcow2, 1024, { compat: "0.10" })).writer.bitmaps, undefined);
      await image.writer.finish();
      await using folder = await scratch();
      const path = await save(image, folder);
      await assertClean(path);
      const info = JSON.parse(await qemuImgOk("info", "--output=json", path));
      assert.deepEqual(
        info["format-specific"].data.bitmaps.map((one: { name: string; granularity: number; flags: string[] }) => [
          one.name,
          one.granularity,
          one.flags,
        ]),
        [["a", 65536, ["auto"]], ["b", 512, []], ["empty", 2 ** 31, ["auto"]]],
      );
      const disk = await qcow2.open(image.storage, { ...inlineCodecs, openNamed: () => Promise.reject() });
      const bits: number[] = [];
      for await (const piece of disk.bitmaps![0]!.pieces()) bits.push(...piece.bits);
      assert.deepEqual(bits, [0x81, 0x07]);
    }
  },
});

Deno.test("setting a refcount of any width leaves its neighbours alone", () => {
  const random = rng(runSeed);
  for (let order = 0; order <= 6; order++) {
    const block = new Uint8Array(512);
    const count = 512 * 8 / 2 ** order;
    const model = new Array<number>(count).fill(0);
    fillOnes(block, order, count / 4, count / 2);
    model.fill(1, count / 4, count / 2);
    for (let step = 0; step < 200; step++) {
      const index = random.int(count);
      model[index] = random.chance(0.2) ? maxRefcount(order) : random.int(Math.min(maxRefcount(order), 2 ** 31) + 1);
      setRefcount(block, order, index, model[index]!);
    }
    assert.deepEqual(Array.from(model, (_, index) => refcountAt(block, order, index)), model);
  }
  assert.deepEqual(
    [0, 1, 2, 4].map((order) => {
      const block = new Uint8Array(4);
      setRefcount(block, order, 1, 1);
      return [...block];
    }),
    [[2, 0, 0, 0], [4, 0, 0, 0], [16, 0, 0, 0], [0, 0, 0, 1]],
  );
});

Deno.test("images that must be repaired first are not edited", async () => {
  const image = await createImage(qcow2, 1 << 20);
  await image.writer.finish();
  for (const bit of [1, 2, 0x80]) {
    const bytes = image.storage.bytes().slice();
    bytes[79] = bit;
    const broken = { storage: new MemoryStorage(bytes), named: image.named };
    await assert.rejects(editImage(qcow2, broken, null), { kind: "unsupported" });
    assert.deepEqual(broken.storage.bytes(), bytes);
  }
});

Deno.test("unknown autoclear features are cleared by the first change, others stay", async () => {
  const image = await createImage(qcow2, 1 << 20);
  await image.writer.finish();
  image.storage.bytes()[88] = 0x40;
  image.storage.bytes()[80] = 0x20;
  const writer = await editImage(qcow2, image, null);
  assert.equal(image.storage.bytes()[88], 0x40);
  await writer.write(new Uint8Array(512), 0);
  assert.equal(image.storage.bytes()[88], 0);
  assert.equal(image.storage.bytes()[80], 0x20);
  await writer.finish();
});

Deno.test("editing a damaged image fails with an ImageError, or works", async () => {
  const random = rng(runSeed);
  const image = await createImage(qcow2, 300 * 1024, { cluster_size: 512 });
  await workAtRandom(image.writer, new Uint8Array(300 * 1024), random, 20);
  await image.writer.finish();
  let failures = 0;
  for (let round = 0; round < 300; round++) {
    const bytes = image.storage.bytes().slice();
    for (let flips = random.int(1, 8); flips > 0; flips--) {
      const at = random.chance(0.3) ? random.int(112) : random.int(512, random.chance(0.5) ? 4096 : bytes.length);
      bytes[at] = random.int(256);
    }
    try {
      const writer = await editImage(
        qcow2,
        { storage: new MemoryStorage(bytes), named: image.named },
        new Uint8Array(9),
      );
      const { size } = writer.traits;
      for (let step = 0; step < 5 && size > 0; step++) {
        const start = random.int(Math.min(size, 300 * 1024));
        await writer.write(new Uint8Array(Math.min(5000, size - start)).fill(1), start);
        await writer.zero(start, Math.min(size, start + 20000));
      }
      await writer.finish();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      failures++;
    }
  }
  assert(failures > 0 && failures < 300, `${failures} failures`);
});
