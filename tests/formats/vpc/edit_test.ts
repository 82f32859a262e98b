import assert from "node:assert/strict";
import type { EditContext } from "../../../formats/contract.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, contentOf, openImage, readerOf } from "../../support/model.ts";
import { rng, seed } from "../../support/qemu.ts";
import { RecordingStorage, WatchedStorage } from "../../support/storage.ts";
import { buildVhd, randomImage, UUID } from "./build.ts";

const runSeed = seed();

function contextOver(parentBytes: Uint8Array): EditContext {
  return {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("VHD names no further files")),
    openBacking: (backing) => {
      assert.equal(backing.format, "vpc");
      return Promise.resolve(readerOf(parentBytes));
    },
  };
}

for (const type of [3, 4] as const) {
  Deno.test(`edits keep every byte: ${type === 3 ? "dynamic" : "differencing"}`, async () => {
    const random = rng(runSeed);
    for (let round = 0; round < 150; round++) {
      const { built, parentBytes } = randomImage(random, type);
      const parent = type === 4 ? parentBytes : new Uint8Array(0);
      const storage = new MemoryStorage(buildVhd(built));
      const image = { storage, named: new Map() };
      const model = await contentOf(vpc, storage, parent);
      const names = (await openImage(vpc, image)).backing;
      for (let again = 0; again < 2; again++) {
        const writer = await vpc.edit!(storage, contextOver(parent));
        assert.equal(writer.traits.startsZeroed, false);
        for (let step = 0; step < 8; step++) {
          const grain = random.pick([1, 512]);
          const start = Math.floor(random.int(model.length) / grain) * grain;
          const end = Math.min(model.length, start + random.int(1, 40) * random.pick([1, 512]) * grain);
          if (random.chance(0.4)) {
            await writer.zero(start, end);
            model.fill(0, start, end);
          } else {
            const bytes = random.bytes(end - start);
            await writer.write(bytes, start);
            model.set(bytes, start);
          }
        }
        await writer.finish();
        assertBytes(await contentOf(vpc, storage, parent), model);
        const disk = await openImage(vpc, image);
        assert.equal(disk.info["footer-damaged"], false);
        assert.deepEqual(disk.backing, names, "names of the parent lie between the blocks");
        const bytes = storage.bytes();
        if (bytes.length % 512 === 0) assertBytes(bytes.subarray(0, 512), bytes.subarray(bytes.length - 512));
      }
    }
  });
}

Deno.test("a lost or damaged footer is put right by an edit", async () => {
  const valid = buildVhd({ type: 3, size: 1 << 20, blockSize: 4096 });
  const damaged = valid.slice();
  damaged[valid.length - 300] ^= 1;
  for (const bytes of [damaged, valid.slice(0, valid.length - 512)]) {
    const storage = new MemoryStorage(bytes);
    const writer = await vpc.edit!(storage, contextOver(new Uint8Array(0)));
    await writer.finish();
    assertBytes(storage.bytes(), valid);
  }
});

Deno.test("an edit that is cut off leaves a footer, also where the copy was damaged before", async () => {
  const bytes = buildVhd({ type: 3, size: 1 << 20, blockSize: 4096 });
  bytes[100] ^= 1;
  const storage = new MemoryStorage(bytes);
  const writer = await vpc.edit!(storage, contextOver(new Uint8Array(0)));
  await writer.write(new Uint8Array(8192).fill(7), 0);
  assertBytes(await contentOf(vpc, storage), new Uint8Array(1 << 20));
});

Deno.test("an edit that changes nothing writes nothing", async () => {
  const bytes = buildVhd({ type: 3, size: 1 << 20, blockSize: 4096 });
  const storage = new RecordingStorage(new MemoryStorage(bytes));
  const writer = await vpc.edit!(storage, contextOver(new Uint8Array(0)));
  await writer.zero(0, 1 << 20);
  await writer.finish();
  assert.deepEqual(storage.of("write", "zero", "truncate"), []);
});

Deno.test("zeroes over a parent that is zero there allocate nothing; over other bytes they hide them", async () => {
  const parent = { uuid: UUID, name: "parent.vhd" };
  const storage = new MemoryStorage(buildVhd({ type: 4, size: 64 << 10, blockSize: 4096, parent }));
  const before = storage.size;
  const parentBytes = new Uint8Array(64 << 10);
  parentBytes[40_000] = 1;
  const writer = await vpc.edit!(storage, contextOver(parentBytes));
  await writer.zero(0, 32 << 10);
  assert.equal(storage.size, before);
  await writer.zero(0, 64 << 10);
  await writer.finish();
  assert.ok(storage.size > before);
  assertBytes(await contentOf(vpc, storage, parentBytes), new Uint8Array(64 << 10));
});

Deno.test("a file without holes is kept without holes", async () => {
  const data = new Uint8Array(64 << 10).fill(1);
  for (
    const built of [{ type: 2, size: data.length, data }, { type: 3, size: data.length, blockSize: 4096 }] as const
  ) {
    for (const hole of [true, false]) {
      const inner = new MemoryStorage(buildVhd(built));
      const reported: string[] = [];
      const storage = new WatchedStorage(
        Object.assign(inner, {
          holeAt: (_start: number, limit: number) => Promise.resolve({ hole, end: limit }),
        }),
        ({ op }) => reported.push(op),
      );
      const writer = await vpc.edit!(storage, contextOver(new Uint8Array(0)));
      await writer.write(new Uint8Array(512).fill(2), 8192);
      await writer.zero(0, 16_384);
      await writer.finish();
      assert.equal(reported.includes("zero"), hole);
    }
  }
});
