import assert from "node:assert/strict";
import { ImageError } from "../../../formats/errors.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { tryMemoryCrashes } from "../../support/crash_matrix.ts";
import { diskcast } from "../../support/diskcast.ts";
import { assertBytes, changeContext, contentOf, openImage, stateOf } from "../../support/model.ts";
import { guestBytes, hasQemu, rng, scratch, seed } from "../../support/qemu.ts";
import { AT, buildVhd, type Built, randomImage, seal, utf16, UUID } from "./build.ts";

const BLOCK = 4096;
const STRIDE = BLOCK + 512;
const runSeed = seed();
const { check: checkVpc, repair: repairVpc, resize: resizeVpc } = vpc.maintenance as Required<
  NonNullable<typeof vpc.maintenance>
>;

const found = async (storage: WritableStorage) => {
  const { corruptions, leaks } = await checkVpc(storage, changeContext());
  return { corruptions, leaks };
};
const SOUND = { corruptions: 0, leaks: 0 };

const blocks = [0, 1, 2].map((index) => ({ index, bitmap: 0xff, data: new Uint8Array(BLOCK).fill(index + 1) }));
const dynamic: Built = { type: 3, size: 5 * BLOCK, blockSize: BLOCK, blocks };
const FIRST = AT.table + 512;

function setEntry(bytes: Uint8Array, index: number, fileOffset: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(AT.table + index * 4, fileOffset / 512);
}

Deno.test("either footer is put right from the other", async () => {
  const valid = buildVhd(dynamic);
  const damagedEnd = valid.slice();
  damagedEnd[valid.length - 100] ^= 1;
  const damagedCopy = valid.slice();
  damagedCopy[100] ^= 1;
  const other = valid.slice();
  other[45] = 9;
  seal(other.subarray(0, 512), 64);
  for (const bytes of [damagedEnd, valid.slice(0, valid.length - 512), damagedCopy, other]) {
    const storage = new MemoryStorage(bytes);
    assert.deepEqual(await found(storage), { corruptions: 1, leaks: 0 });
    await repairVpc(storage, "leaks", changeContext());
    assertBytes(storage.bytes(), bytes);
    await repairVpc(storage, "all", changeContext());
    assertBytes(storage.bytes(), valid);
  }
});

Deno.test("a checksum is put right where everything else agrees, else the image does not open", async () => {
  const valid = buildVhd(dynamic);
  const fixed = buildVhd({ type: 2, size: BLOCK, data: new Uint8Array(BLOCK).fill(5) });
  const damaged = (bytes: Uint8Array, at: number) => {
    const copy = bytes.slice();
    copy[at] ^= 1;
    return copy;
  };
  // The checksums themselves; a reserved byte.
  for (const bytes of [damaged(valid, AT.header + 37), damaged(valid, AT.header + 1000), damaged(fixed, BLOCK + 64)]) {
    const storage = new MemoryStorage(bytes);
    assert.equal(await stateOf(vpc, storage), "corrupt");
    assert.deepEqual(await found(storage), { corruptions: 1, leaks: 0 });
    await repairVpc(storage, "all", changeContext());
    assert.deepEqual(await found(storage), SOUND);
    await openImage(vpc, { storage, named: new Map() });
  }
  const differencing = buildVhd({ ...dynamic, type: 4, parent: { uuid: UUID, name: "parent.vhd" } });
  for (
    const bytes of [
      damaged(valid, AT.header + 19), // where the table lies
      damaged(valid, AT.header + 31), // how long it is
      damaged(valid, AT.header + 34), // how long blocks are
      damaged(fixed, BLOCK + 54), // the size
      damaged(differencing, AT.header + 65), // the name of the parent
    ]
  ) {
    const storage = new MemoryStorage(bytes);
    await assert.rejects(found(storage), { kind: "corrupt" });
    await assert.rejects(repairVpc(storage, "all", changeContext()), { kind: "corrupt" });
    assertBytes(storage.bytes(), bytes);
  }
});

Deno.test("what the file has lost reads as zeroes after -r all; over a parent it stays an error", async () => {
  for (const type of [3, 4] as const) {
    const whole = buildVhd({ ...dynamic, type, ...(type === 4 && { parent: { uuid: UUID, name: "p.vhd" } }) });
    // The last block is gone, the one before it has half its bytes, and the footer is cut off, too.
    const start = whole.slice(0, FIRST + STRIDE + 512 + BLOCK / 2);
    const storage = new MemoryStorage(start);
    assert.deepEqual(await found(storage), { corruptions: 3, leaks: 0 });
    assert.equal(await stateOf(vpc, storage), "corrupt");
    await repairVpc(storage, "leaks", changeContext());
    assertBytes(storage.bytes(), start);
    await repairVpc(storage, "all", changeContext());
    if (type === 4) {
      assertBytes(storage.bytes(), start);
      continue;
    }
    assert.deepEqual(await found(storage), SOUND);
    const model = new Uint8Array(5 * BLOCK).fill(1, 0, BLOCK).fill(2, BLOCK, BLOCK * 1.5);
    assertBytes(await contentOf(vpc, storage), model);
  }
});

Deno.test("blocks that overlap are separated, unless the file would become many times as long", async () => {
  for (const location of [FIRST, FIRST + 512, FIRST + STRIDE]) {
    const bytes = buildVhd(dynamic);
    setEntry(bytes, 3, location);
    const storage = new MemoryStorage(bytes);
    const before = await contentOf(vpc, storage);
    assert((await found(storage)).corruptions > 0);
    await repairVpc(storage, "all", changeContext());
    assert.deepEqual(await found(storage), SOUND);
    assertBytes(await contentOf(vpc, storage), before);
  }
  const bomb = buildVhd({ ...dynamic, size: 100 * BLOCK });
  for (let index = 0; index < 100; index++) setEntry(bomb, index, FIRST);
  const storage = new MemoryStorage(bomb);
  await repairVpc(storage, "all", changeContext());
  assert.equal((await found(storage)).corruptions, 99);
});

Deno.test("blocks in the structures are counted, and left alone", async () => {
  const bytes = buildVhd(dynamic);
  setEntry(bytes, 3, 512);
  const storage = new MemoryStorage(bytes);
  assert.deepEqual(await found(storage), { corruptions: 1, leaks: 0 });
  await repairVpc(storage, "all", changeContext());
  assertBytes(storage.bytes(), bytes);
});

Deno.test("unreferenced blocks at the end of the file are leaks, and cut off", async () => {
  const bytes = buildVhd(dynamic);
  new DataView(bytes.buffer).setUint32(AT.table + 2 * 4, 0xffffffff);
  const storage = new MemoryStorage(bytes);
  const before = await contentOf(vpc, storage);
  assert.deepEqual(await found(storage), { corruptions: 0, leaks: 1 });
  await repairVpc(storage, "leaks", changeContext());
  assert.deepEqual(await found(storage), SOUND);
  assert.equal(storage.size, bytes.length - STRIDE);
  assertBytes(await contentOf(vpc, storage), before);

  const fixed = buildVhd({ type: 2, size: BLOCK, data: new Uint8Array(BLOCK + 1024).fill(5) });
  const long = new MemoryStorage(fixed);
  assert.deepEqual(await found(long), { corruptions: 0, leaks: 2 });
  await repairVpc(long, "leaks", changeContext());
  assertBytes(long.bytes(), buildVhd({ type: 2, size: BLOCK, data: new Uint8Array(BLOCK).fill(5) }));
});

Deno.test("what readers of the current size see behind the geometry is no leak", async () => {
  const data = new Uint8Array(BLOCK).fill(9);
  const geometry = [1, 1, 1] as const;
  const fixed = buildVhd({ type: 2, size: BLOCK, data, creator: "vpc ", geometry });
  const blocky = buildVhd({ ...dynamic, creator: "vpc ", geometry });
  for (const bytes of [fixed, blocky]) {
    const storage = new MemoryStorage(bytes);
    assert.deepEqual(await found(storage), SOUND);
    await repairVpc(storage, "all", changeContext());
    assertBytes(storage.bytes(), bytes);
  }
});

Deno.test("a parent locator outside the file is reported", async () => {
  const locators = [["W2ru", utf16("parent.vhd", "little")]] as const;
  const bytes = buildVhd({ ...dynamic, type: 4, parent: { uuid: UUID, locators } });
  new DataView(bytes.buffer).setBigUint64(AT.header + 576 + 16, 2n ** 40n);
  seal(bytes.subarray(AT.header, AT.header + 1024), 36);
  const report = await checkVpc(new MemoryStorage(bytes), changeContext());
  assert.equal(report.corruptions, 1);
  assert.match(report.problems[0]!.message, /parent locator/);
});

Deno.test("a repair keeps every byte, and a crash leaves the disk as it was", async () => {
  const random = rng(runSeed);
  for (let round = 0; round < 100; round++) {
    const type = random.pick([3, 4] as const);
    const { built, parentBytes: parent } = randomImage(random, type);
    const parentBytes = type === 4 ? parent : new Uint8Array(0);
    const bytes = buildVhd(random.chance(0.4) ? { ...built, creator: "tap\0", batmap: random.chance(0.8) } : built);
    const entries = Math.ceil(built.size / built.blockSize!);
    for (let count = random.int(3); count > 0; count--) {
      const location = random.pick([random.int(bytes.length / 512), FIRST / 512, 2 ** 31]);
      new DataView(bytes.buffer).setUint32(AT.table + 4 * random.int(entries), location);
    }
    if (random.chance(0.2)) bytes[random.pick([0, bytes.length - 512]) + random.int(500)]! ^= 1;
    const start = random.chance(0.3) ? bytes.subarray(0, bytes.length - random.int(bytes.length / 3)) : bytes;
    const what = random.pick(["all", "leaks"] as const);
    const state = (storage: MemoryStorage) => stateOf(vpc, storage, parentBytes);
    const first = await state(new MemoryStorage(start));
    try {
      const action = (storage: WritableStorage) => repairVpc(storage, what, changeContext(parentBytes));
      const ended = await tryMemoryCrashes({ start, action, state, random });
      if (first !== "corrupt") assert.equal(await state(ended), first);
      if ((await found(ended)).corruptions > 0) continue;
      assert.equal((await found(ended)).leaks, 0);
      await resizeVpc(ended, 1 << 20, "off", changeContext(parentBytes));
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      assert.equal(first, "corrupt", "only what does not open cannot be looked at");
    }
  }
});

Deno.test({
  name: "check -r through the command line, and qemu-img reads the same after it",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.vhd");
    const bytes = buildVhd({ ...dynamic, size: 3 << 20, blockSize: 2 << 20 });
    await Deno.writeFile(path, bytes);
    const before = await guestBytes(path, "vpc");
    bytes[bytes.length - 100] ^= 1;
    await Deno.writeFile(path, bytes);
    const codes = [];
    for (const more of [[], ["-r", "leaks"], ["-r", "all"], []]) {
      const { code, stdout } = await diskcast("check", ...more, path);
      codes.push(code);
      if (more[1] === "all") assert.match(stdout, /1 corruptions/);
    }
    assert.deepEqual(codes, [2, 2, 0, 0]);
    assertBytes(await guestBytes(path, "vpc"), before);
  },
});
