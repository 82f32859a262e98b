import assert from "node:assert/strict";
import { convert } from "../../../mod.ts";
import { type DiskWriter, MemoryStorage, type WritableStorage } from "../../../formats/mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readAll, readerOf, workAtRandom } from "../../support/model.ts";
import { type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { RecordingStorage, WatchedStorage } from "../../support/storage.ts";
import { AT, type Block, build, GUID, MIB, setBat, type Spec } from "./build.ts";
import { extentLines, filled, openFrom } from "./support.ts";

function edit(storage: WritableStorage, parentBytes: Uint8Array = new Uint8Array(0)): Promise<DiskWriter> {
  return vhdx.edit!(storage, {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("It names no such file")),
    openBacking: () => Promise.resolve(readerOf(parentBytes)),
  });
}

const parent = { parent_linkage: `{${GUID.data}}`, relative_path: ".\\parent.vhdx" };

Deno.test("an image that is only opened stays as it is", async () => {
  const bytes = build({ size: 2 * MIB, blocks: { 0: { state: 6, content: filled(1) } } });
  const storage = new MemoryStorage(bytes);
  await (await edit(storage)).finish();
  assertBytes(storage.bytes(), bytes);
});

Deno.test("before the first change both headers are renewed, the old one first to last", async () => {
  const storage = new RecordingStorage(new MemoryStorage(build({ size: 2 * MIB })));
  const writer = await edit(storage);
  storage.operations.length = 0;
  await writer.write(new Uint8Array(512).fill(1), 0);
  await writer.write(new Uint8Array(512).fill(1), MIB);
  await writer.finish();
  const reported = storage.of("write", "sync").map(({ op, start }) => op === "sync" ? op : start);
  // Header 2 of the image counts: header 1 is written first. Then the BAT goes through the log, which a header must name
  // while it counts.
  const headerUpdate = [AT.header1, "sync", AT.header2];
  const data = [AT.blocks, AT.blocks + MIB];
  const log = ["sync", AT.log, "sync", AT.header1, "sync", AT.bat, "sync", AT.header2, "sync", AT.header1];
  assert.deepEqual(reported, [...headerUpdate, ...data, ...log]);
  const bytes = new Uint8Array(4096);
  const seen: string[] = [];
  for (const [at, number] of [[AT.header1, 13n], [AT.header2, 12n]] as const) {
    await storage.readAt(bytes, at);
    assert.equal(new DataView(bytes.buffer).getBigUint64(8, true), number);
    seen.push(bytes.slice(16, 64).join());
  }
  assert.equal(seen[0], seen[1], "the same GUIDs");
  const before = build({ size: 2 * MIB }).slice(AT.header1 + 16, AT.header1 + 64);
  const after = seen[0].split(",").map(Number);
  assert.notDeepEqual(after.slice(0, 16), [...before.slice(0, 16)], "a new file write GUID");
  assert.notDeepEqual(after.slice(16, 32), [...before.slice(16, 32)], "a new data write GUID");
  assert.deepEqual(after.slice(32), [...before.slice(32)], "the log is empty");
});

Deno.test("blocks in every state are written, zeroed and left alone", async () => {
  const random = rng(seed());
  for (let round = 0; round < 12; round++) {
    const { spec, model } = randomImage(random, [0, 1, 2, 3, 6, 6]);
    const storage = new MemoryStorage(build(spec));
    await changeAndVerify(storage, model, random);
  }
});

Deno.test("differencing images are edited over their parents", async () => {
  const random = rng(seed());
  for (const sector of [512, 4096]) {
    for (let round = 0; round < 10; round++) {
      const parentBytes = random.bytes(random.pick([3, 5, 8]) * MIB);
      const { spec, model } = randomImage(random, [0, 0, 2, 3, 6, 7, 7], parentBytes, sector);
      const storage = new MemoryStorage(build({ ...spec, parent }));
      await changeAndVerify(storage, model, random, parentBytes);
    }
  }
});

/** An image of random blocks, and what it reads as. */
function randomImage(
  random: Rng,
  states: readonly number[],
  parentBytes: Uint8Array = new Uint8Array(0),
  sector = 512,
): { spec: Spec; model: Uint8Array } {
  const size = random.int(3, 7) * MIB + 8192;
  const model = new Uint8Array(size);
  model.set(parentBytes.subarray(0, size));
  const blocks: { [block: number]: Block } = {};
  for (let block = 0; block * MIB < size; block++) {
    const state = random.pick(states);
    const content = random.bytes(MIB);
    // Where a block is not present, they are leavings.
    const bits = random.pick([random.bytes(MIB / sector / 8), filled(0, MIB / sector / 8)]);
    blocks[block] = {
      state,
      ...(state >= 6 && { content }),
      ...((state === 7 || state === 0 && parentBytes.length > 0) && { bits }),
    };
    for (let at = block * MIB; at < Math.min(size, (block + 1) * MIB); at += sector) {
      const bit = at % MIB / sector;
      const end = at + sector;
      if (state === 6 || state === 7 && bits[bit >> 3] >> (bit & 7) & 1) {
        model.set(content.subarray(at % MIB, at % MIB + sector), at);
      } else if (state !== 0 && state !== 7) model.fill(0, at, end);
    }
  }
  return { spec: { size, sector, blocks, fixed: parentBytes.length === 0 && random.chance(0.3) }, model };
}

async function changeAndVerify(
  storage: MemoryStorage,
  model: Uint8Array,
  random: Rng,
  parentBytes?: Uint8Array,
): Promise<void> {
  assertBytes(await readAll(await openFrom(storage), parentBytes), model);
  const watched = random.chance(0.5) ? storage : new PlainStorage(storage);
  for (let session = 0; session < 2; session++) {
    const writer = await edit(watched, parentBytes);
    await workAtRandom(writer, model, random, 15);
    // A last piece may end anywhere: sources need not have whole sectors.
    const start = random.int(model.length - 5000);
    const odd = random.bytes(random.int(1, 5000));
    await writer.write(odd, start);
    model.set(odd, start);
    const zeroEnd = start + random.int(1, 3000);
    await writer.zero(start, zeroEnd);
    model.fill(0, start, zeroEnd);
    await writer.finish();
    assertBytes(await readAll(await openFrom(storage), parentBytes), model);
  }
}

/** A storage that cannot zero cheaply. */
class PlainStorage extends WatchedStorage {
  constructor(inner: MemoryStorage) {
    super(inner, () => {});
  }
  override get zeroesCheaply(): boolean {
    return false;
  }
}

Deno.test("blocks that become zero are deallocated for new ones", async () => {
  for (const wrap of [(inner: MemoryStorage) => inner, (inner: MemoryStorage) => new PlainStorage(inner)]) {
    const block = (nth: number) => ({ state: 6, content: filled(nth + 1) });
    const spec = { size: 12 * MIB, blocks: Object.fromEntries([...Array(9).keys()].map((nth) => [nth, block(nth)])) };
    const storage = new MemoryStorage(build(spec));
    const { size } = storage;
    const writer = await edit(wrap(storage));
    await writer.zero(0, 8 * MIB);
    await writer.write(new Uint8Array(512).fill(3), 11 * MIB + 512);
    await writer.finish();
    assert.equal(storage.size, size);
    const disk = await openFrom(storage);
    const runs = ["zero 0-8192", "data 8192-9216", "hole 9216-11264", "data 11264-12288"];
    assert.deepEqual(await extentLines(disk), runs);
    const bytes = await readAll(disk);
    assert.deepEqual([bytes[11 * MIB], bytes[11 * MIB + 512], bytes[11 * MIB + 1024]], [0, 3, 0]);
  }
});

Deno.test("a fixed image keeps its blocks", async () => {
  const spec = {
    size: 2 * MIB,
    fixed: true,
    blocks: { 0: { state: 6, content: filled(1) }, 1: { state: 6, content: filled(2) } },
  };
  const storage = new MemoryStorage(build(spec));
  const writer = await edit(storage);
  await writer.zero(0, 2 * MIB);
  await writer.finish();
  const disk = await openFrom(storage);
  assert.deepEqual(await extentLines(disk), ["data 0-2048"]);
  assertBytes(await readAll(disk), new Uint8Array(2 * MIB));
});

Deno.test("an image with two blocks at one location is read, and not written", async () => {
  const bytes = build({ size: 3 * MIB, blocks: { 0: { state: 6, content: filled(1) } } });
  setBat(new DataView(bytes.buffer), 2, 6, AT.blocks);
  await assert.rejects(edit(new MemoryStorage(bytes)), { kind: "corrupt" });
});

Deno.test("convert -n into a differencing image leaves its parent alone", async () => {
  await using folder = await scratch();
  const random = rng(seed());
  const [parentBytes, model] = [random.bytes(3 * MIB), random.bytes(2 * MIB + 512)];
  model.fill(0, 100 * 4096, 300 * 4096);
  const blocks = Object.fromEntries([0, 1, 2].map((block) => {
    return [block, { state: 6, content: parentBytes.subarray(block * MIB, (block + 1) * MIB) }];
  }));
  const base = build({ size: 3 * MIB, blocks });
  await Deno.writeFile(folder.file("parent.vhdx"), base);
  await Deno.writeFile(folder.file("child.avhdx"), build({ size: 3 * MIB, parent }));
  await Deno.writeFile(folder.file("a.raw"), model);
  const target = { path: folder.file("child.avhdx"), format: "vhdx", create: false };
  await convert({ sources: [{ path: folder.file("a.raw"), format: "raw" }], target });
  await convert({ sources: [{ path: target.path }], target: { path: folder.file("b.raw"), format: "raw" } });
  const expected = parentBytes.slice();
  expected.set(model);
  assertBytes(await Deno.readFile(folder.file("b.raw")), expected);
  assertBytes(await Deno.readFile(folder.file("parent.vhdx")), base);
});
