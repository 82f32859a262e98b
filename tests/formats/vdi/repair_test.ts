import assert from "node:assert/strict";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { vdi } from "../../../formats/vdi/mod.ts";
import { check } from "../../../mod.ts";
import { tryMemoryCrashes } from "../../support/crash_matrix.ts";
import { assertBytes, changeContext, contentOf, stateOf } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, qemuIo, rng, scratch, seed } from "../../support/qemu.ts";
import { AT, buildVdi, DISCARDED, FREE, randomImage, UUID } from "./build.ts";

const BLOCK = 4096;
const runSeed = seed();
const { check: checkVdi, repair: repairVdi, resize: resizeVdi } = vdi.maintenance as Required<
  NonNullable<typeof vdi.maintenance>
>;

const found = async (storage: WritableStorage) => {
  const { corruptions, leaks } = await checkVdi(storage, changeContext());
  return { corruptions, leaks };
};

function imageOf(map: readonly number[], more: Partial<Parameters<typeof buildVdi>[0]> = {}): MemoryStorage {
  const used = map.filter((entry) => entry < 100).reduce((most, entry) => Math.max(most, entry + 1), 0);
  const blocks = Array.from({ length: used }, (_, index) => new Uint8Array(BLOCK).fill(index + 1));
  return new MemoryStorage(buildVdi({ type: 1, size: map.length * BLOCK, blockSize: BLOCK, map, blocks, ...more }));
}

function poke(storage: MemoryStorage, at: number, value: number): void {
  new DataView(storage.bytes().buffer).setUint32(at, value, true);
}

Deno.test("a wrong number of blocks is put right, by -r all", async () => {
  const storage = imageOf([0, FREE, 1]);
  poke(storage, 388, 77);
  await repairVdi(storage, "leaks", changeContext());
  assert.deepEqual(await found(storage), { corruptions: 1, leaks: 0 });
  await repairVdi(storage, "all", changeContext());
  assert.deepEqual(await found(storage), { corruptions: 0, leaks: 0 });
  assert.equal(new DataView(storage.bytes().buffer).getUint32(388, true), 2);
});

Deno.test("gaps between blocks are leaks: blocks from the end move into them, and the file is cut", async () => {
  const storage = imageOf([5, FREE, DISCARDED, 1, 3, FREE]);
  poke(storage, 388, 3);
  const before = await contentOf(vdi, storage);
  assert.deepEqual(await found(storage), { corruptions: 0, leaks: 3 });
  await repairVdi(storage, "leaks", changeContext());
  assert.deepEqual(await found(storage), { corruptions: 0, leaks: 0 });
  assertBytes(await contentOf(vdi, storage), before);
  assert.equal(storage.size, AT.data + 3 * BLOCK);
});

Deno.test("a block outside the range that other programs accept moves into it", async () => {
  const storage = imageOf([0, 7, FREE, 1]);
  const before = await contentOf(vdi, storage);
  poke(storage, 388, 2);
  assert.deepEqual(await found(storage), { corruptions: 1, leaks: 5 });
  await repairVdi(storage, "leaks", changeContext());
  assert.deepEqual(await found(storage), { corruptions: 1, leaks: 5 }, "leaks only, and that is more than a leak");
  await repairVdi(storage, "all", changeContext());
  assert.deepEqual(await found(storage), { corruptions: 0, leaks: 0 });
  assertBytes(await contentOf(vdi, storage), before);
});

Deno.test("blocks in one file block are separated, unless the file would become many times as long", async () => {
  const storage = imageOf([0, 0, 1, FREE]);
  poke(storage, 388, 3);
  const before = await contentOf(vdi, storage);
  assert.deepEqual(await found(storage), { corruptions: 1, leaks: 0 });
  await repairVdi(storage, "all", changeContext());
  assert.deepEqual(await found(storage), { corruptions: 0, leaks: 0 });
  assertBytes(await contentOf(vdi, storage), before);
  const bomb = imageOf(new Array(100).fill(0));
  await repairVdi(bomb, "all", changeContext());
  assert.equal(
    (await found(bomb)).corruptions,
    100,
    "99 blocks in the file block of another, and the number of blocks",
  );
});

Deno.test("what the file has lost reads as zeroes after -r all; over a parent it stays an error", async () => {
  for (const parent of [undefined, UUID]) {
    const whole = imageOf([0, 1, 2, FREE], parent ? { parent } : {});
    // The last block is gone, the one before it has half its bytes.
    const storage = new MemoryStorage(whole.bytes().subarray(0, AT.data + BLOCK * 1.5));
    assert.deepEqual(await found(storage), { corruptions: 2, leaks: 0 });
    assert.equal(await stateOf(vdi, storage), "corrupt");
    const start = storage.bytes().slice();
    await repairVdi(storage, "leaks", changeContext());
    assertBytes(storage.bytes(), start);
    await repairVdi(storage, "all", changeContext());
    if (parent) {
      assertBytes(storage.bytes(), start);
      continue;
    }
    assert.deepEqual(await found(storage), { corruptions: 0, leaks: 0 });
    const model = new Uint8Array(4 * BLOCK).fill(1, 0, BLOCK).fill(2, BLOCK, BLOCK * 1.5);
    assertBytes(await contentOf(vdi, storage), model);
  }
});

Deno.test("a repair keeps every byte, and a crash leaves the disk as it was", async () => {
  const random = rng(runSeed);
  for (let round = 0; round < 100; round++) {
    const type = random.pick([1, 4] as const);
    const { bytes, parentBytes: ownParent } = randomImage(random, type);
    const parentBytes = type === 4 ? ownParent : new Uint8Array(0);
    const view = new DataView(bytes.buffer);
    const blocks = view.getUint32(384, true);
    for (let count = random.int(4); count > 0; count--) {
      const at = random.chance(0.3) ? 388 : AT.map + 4 * random.int(blocks);
      view.setUint32(at, random.pick([random.int(blocks), random.int(2 * blocks), FREE]), true);
    }
    const start = random.chance(0.3) ? bytes.subarray(0, bytes.length - random.int(1 + bytes.length / 4)) : bytes;
    const what = random.pick(["all", "leaks"] as const);
    const state = (storage: MemoryStorage) => stateOf(vdi, storage, parentBytes);
    if (start.length < AT.data) continue;
    const action = (storage: WritableStorage) => repairVdi(storage, what, changeContext(parentBytes));
    const first = await state(new MemoryStorage(start));
    const ended = await tryMemoryCrashes({ start, action, state, random });
    const left = await found(ended);
    if (first !== "corrupt") assert.equal(await state(ended), first);
    if (what === "all" && type === 1 && left.corruptions > 0) {
      assert(left.corruptions > blocks / 2, "many in one file block");
    }
    if (left.corruptions === 0) {
      assert.equal(left.leaks, 0);
      await resizeVdi(ended, 20 * BLOCK, "off", changeContext(parentBytes));
    }
  }
});

Deno.test({
  name: "qemu-img finds nothing wrong with what was mended, and QEMU writes into it",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("image.vdi");
    await qemuImgOk("create", "-q", "-f", "vdi", path, "32M");
    await qemuIo(["-f", "vdi", path], "write -P 1 0 3M", "write -P 2 9M 100k", "write -P 3 31M 1M");
    const valid = await Deno.readFile(path);
    // The number of blocks; two blocks in one file block; a file block past the end of the file.
    for (const [at, value] of [[388, 9], [512 + 4 * 20, 2], [512 + 8, 255]] as const) {
      const bytes = valid.slice();
      new DataView(bytes.buffer).setUint32(at, value, true);
      await Deno.writeFile(path, bytes);
      assert.equal((await qemuImg("check", "-f", "vdi", path)).code, 2);
      const before = await guestBytes(path, "vdi");
      const result = await check({ path }, { repair: "all" });
      assert.deepEqual([result.corruptions, result.leaks], [0, 0]);
      assert(result.corruptionsFixed > 0);
      await qemuImgOk("check", "-f", "vdi", path);
      assertBytes(await guestBytes(path, "vdi"), before);
      await qemuIo(["-f", "vdi", path], "write -P 9 15M 1M");
      await qemuImgOk("check", "-f", "vdi", path);
      before.fill(9, 15 << 20, 16 << 20);
      assertBytes(await guestBytes(path, "vdi"), before);
    }
  },
});
