import assert from "node:assert/strict";
import { check, openDisk, resize } from "../../../mod.ts";
import type { Preallocation } from "../../../formats/maintenance.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vdi } from "../../../formats/vdi/mod.ts";
import { tryCrashes, tryMemoryCrashes } from "../../support/crash_matrix.ts";
import {
  assertBytes,
  changeContext,
  contentOf,
  diskState,
  fingerprint,
  readerOf,
  resized,
} from "../../support/model.ts";
import {
  guestBytes,
  hasQemu,
  qemuImg,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  rounds,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { AT, buildVdi, DISCARDED, FREE, randomImage, UUID } from "./build.ts";

const MIB = 1 << 20;
const BLOCK = 4096;
const runSeed = seed();
const { check: checkVdi, repair: repairVdi, resize: resizeVdi } = vdi.maintenance as Required<
  NonNullable<typeof vdi.maintenance>
>;
const NOTHING = new Uint8Array(0);

const GROWTHS: readonly Preallocation[] = ["off", "metadata", "falloc", "full"];

/** Nothing is wrong, and no file block is wasted: growing leaves gaps as they are. */
async function assertTidy(storage: MemoryStorage, mayHaveGaps: boolean): Promise<void> {
  const { corruptions, leaks, problems } = await checkVdi(storage, changeContext());
  assert.equal(corruptions, 0, problems[0]?.message);
  assert(leaks === 0 || mayHaveGaps, problems[0]?.message);
  const view = new DataView(storage.bytes().buffer);
  const [mapOffset, blocks] = [view.getUint32(340, true), view.getUint32(384, true)];
  const locations = Array.from({ length: blocks }, (_, index) => view.getUint32(mapOffset + index * 4, true));
  const used = locations.filter((location) => location < DISCARDED).sort((a, b) => a - b);
  assert.equal(view.getUint32(388, true), used.length);
  assert(used.every((location, index) => index === 0 || location > used[index - 1]!));
}

for (const type of [1, 2, 4] as const) {
  const name = { 1: "dynamic", 2: "static", 4: "differencing" }[type];
  Deno.test(`resizing keeps every byte, what is new is zero, a crash leaves one state: ${name}`, async () => {
    const random = rng(runSeed);
    for (let round = 0; round < rounds(10, 25); round++) {
      const { start, parentBytes } = randomStart(random, type);
      const model = await contentOf(vdi, new MemoryStorage(start), parentBytes);
      // Up to a map of several sectors, which the first blocks are in the way of.
      const size = random.int(random.chance(0.3) ? 20 : 600) * 512;
      const growths = type === 2 ? GROWTHS.filter((one) => one !== "metadata") : GROWTHS;
      const preallocation = size > model.length ? random.pick(growths) : "off";
      const ended = await tryMemoryCrashes({
        start,
        action: (storage) => resizeVdi(storage, size, preallocation, changeContext(parentBytes)),
        state: async (storage) => {
          const state = fingerprint(await contentOf(vdi, storage, parentBytes));
          // What a crash leaves can be mended, and reads the same after that.
          const mended = new MemoryStorage(storage.bytes());
          await repairVdi(mended, "all", changeContext(parentBytes));
          await assertTidy(mended, false);
          assert.equal(fingerprint(await contentOf(vdi, mended, parentBytes)), state);
          return state;
        },
        random,
      });
      assertBytes(await contentOf(vdi, ended, parentBytes), resized(model, size));
      if (size !== model.length) await assertTidy(ended, size > model.length);
    }
  });
}

function randomStart(random: Rng, type: 1 | 2 | 4): { readonly start: Uint8Array; readonly parentBytes: Uint8Array } {
  if (type !== 2) {
    const { bytes, parentBytes } = randomImage(random, type);
    return { start: bytes, parentBytes: type === 4 ? parentBytes : NOTHING };
  }
  const blockSize = random.pick([512, BLOCK]);
  const blocks = Array.from({ length: random.int(1, 60) }, () => random.bytes(blockSize));
  const size = blocks.length * blockSize - random.int(blockSize / 512) * 512;
  const start = buildVdi({ type, size, blockSize, blocks, map: blocks.map((_, index) => index) });
  return { start, parentBytes: NOTHING };
}

Deno.test("the map grows over the first blocks: they move to the end, and the rest stays where it is", async () => {
  const blocks = [1, 2, 3].map((value) => new Uint8Array(BLOCK).fill(value));
  const storage = new RecordingStorage(
    new MemoryStorage(buildVdi({ type: 1, size: 3 * BLOCK, blockSize: BLOCK, map: [0, 1, 2], blocks })),
  );
  await resizeVdi(storage, 200 * BLOCK, "off", changeContext());
  const header = new Uint8Array(512);
  await storage.readAt(header, 0);
  const view = new DataView(header.buffer);
  // The old map had one sector; the new one begins behind it.
  assert.deepEqual([340, 344, 384, 388].map((at) => view.getUint32(at, true)), [1024, AT.data + BLOCK, 200, 3]);
  const entries = new Uint8Array(12);
  await storage.readAt(entries, 1024);
  assert.deepEqual([...new Uint32Array(entries.buffer)], [2, 0, 1]);
  const copied = storage.of("write").filter(({ start }) => start >= AT.data + BLOCK);
  assert.deepEqual(copied.map(({ start, end }) => [start - AT.data, end - start]), [[3 * BLOCK, BLOCK]]);
});

Deno.test("where there is room behind the map, nothing moves", async () => {
  const blocks = [new Uint8Array(BLOCK).fill(1)];
  const storage = new RecordingStorage(
    new MemoryStorage(buildVdi({ type: 1, size: 3 * BLOCK, blockSize: BLOCK, map: [FREE, 0, FREE], blocks })),
  );
  await resizeVdi(storage, 100 * BLOCK, "off", changeContext());
  assert.deepEqual(storage.of("write", "zero", "truncate").map(({ start, end }) => [start, end]), [
    [AT.map + 12, AT.map + 400],
    [0, 512],
  ]);
});

Deno.test("over a parent that is longer, what is new is discarded, not filled", async () => {
  const storage = new MemoryStorage(buildVdi({ type: 4, size: 2 * BLOCK, blockSize: BLOCK, parent: UUID }));
  const before = storage.size;
  const parentBytes = new Uint8Array(8 * BLOCK).fill(7);
  await resizeVdi(storage, 10 * BLOCK, "off", changeContext(parentBytes));
  assert.equal(storage.size, before);
  assertBytes(await contentOf(vdi, storage, parentBytes), resized(parentBytes.subarray(0, 2 * BLOCK), 10 * BLOCK));
});

Deno.test("a new size is new content, and has no geometry of old", async () => {
  for (const headerBytes of [384, 400]) {
    const bytes = buildVdi({ type: 1, size: 2 * BLOCK, blockSize: BLOCK, headerBytes });
    bytes.fill(0x11, 348, 360);
    bytes.fill(0x22, 456, 468);
    const storage = new MemoryStorage(bytes);
    await resizeVdi(storage, 3 * BLOCK, "off", changeContext());
    const now = storage.bytes();
    assert.notDeepEqual(now.slice(408, 424), bytes.slice(408, 424), "UUID of the content");
    assert.deepEqual(now.slice(392, 408), bytes.slice(392, 408), "UUID of the image");
    assert(now.subarray(348, 360).every((byte) => byte === 0));
    assert(now.subarray(456, 468).every((byte) => byte === (headerBytes === 400 ? 0 : 0x22)));
  }
});

Deno.test("sizes, modes and images that cannot be are refused before anything is changed", async () => {
  const dynamic = buildVdi({ type: 1, size: BLOCK, blockSize: BLOCK });
  const still = buildVdi({ type: 2, size: BLOCK, blockSize: BLOCK, map: [0], blocks: [new Uint8Array(BLOCK)] });
  const twice = buildVdi({ type: 1, size: 2 * BLOCK, blockSize: BLOCK, map: [0, 0], blocks: [new Uint8Array(BLOCK)] });
  const cut = buildVdi({ type: 1, size: BLOCK, blockSize: BLOCK, map: [0] });
  const cases = [
    [still, 8192, "metadata", /every guest byte is allocated anyway/],
    [dynamic, 8191, "off", /multiple of 512/],
    [dynamic, 2 ** 49, "off", /512 TiB less 128 MiB/],
    [dynamic, 2 ** 42, "off", /536870912 is the most/],
    [twice, 512, "off", /another block lies there/],
    [cut, 512, "off", /past the end of the file/],
  ] as const;
  for (const [bytes, size, preallocation, message] of cases) {
    const storage = new RecordingStorage(new MemoryStorage(bytes));
    await assert.rejects(resizeVdi(storage, size, preallocation, changeContext()), { message });
    assert.deepEqual(storage.of("write", "zero", "truncate", "reserve"), []);
  }
});

async function scribble(path: string, size: number, random: Rng): Promise<void> {
  const commands = Array.from({ length: 6 }, () => {
    const start = random.int(size / 512) * 512;
    return `write -P ${random.int(256)} ${start} ${Math.min(size - start, random.int(1, 3000) * 512)}`;
  });
  await qemuIo(["-f", "vdi", path], ...commands);
}

Deno.test({
  name: "qemu-img reads and checks the disk with its new size, and QEMU writes into it",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (const isStatic of [false, true]) {
      const path = folder.file("image.vdi");
      await qemuImgOk("create", "-q", "-f", "vdi", "-o", `static=${isStatic ? "on" : "off"}`, path, `${9 * MIB + 512}`);
      await scribble(path, 9 * MIB, random);
      let model = await guestBytes(path, "vdi");
      for (
        const [size, preallocation] of [
          // A map of more than one sector.
          [140 * MIB, "off"],
          [141 * MIB + 1024, "full"],
          [5 * MIB - 512, "off"],
          [23 * MIB, "falloc"],
          ...isStatic ? [] : [[25 * MIB, "metadata"] as const],
          [random.int(1, 60_000) * 512, "off"],
        ] as const
      ) {
        await resize({ path, format: "vdi" }, size, {
          shrink: true,
          preallocation: size > model.length ? preallocation : "off",
        });
        model = resized(model, size);
        assertBytes(await guestBytes(path, "vdi"), model);
        await qemuImgOk("check", "-f", "vdi", path);
        assert.equal((await check({ path })).corruptions, 0);
        await scribble(path, size, random);
        await qemuImgOk("check", "-f", "vdi", path);
        model = await guestBytes(path, "vdi");
        await using disk = await openDisk({ path, format: "vdi" });
        assert.equal(await diskState(disk), await diskState(readerOf(model)));
      }
    }
  },
});

Deno.test({
  name: "qemu-img reads the old disk or the new one after a crash",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (const [isStatic, before, after] of [[false, 20 * MIB, 140 * MIB], [true, 3 * MIB, 5 * MIB]] as const) {
      const [path, old] = [folder.file("image.vdi"), folder.file("old.raw")];
      await qemuImgOk("create", "-q", "-f", "vdi", "-o", `static=${isStatic ? "on" : "off"}`, path, `${before}`);
      await scribble(path, before, random);
      await qemuImgOk("convert", "-f", "vdi", "-O", "raw", path, old);
      await tryCrashes({
        path,
        action: (files) => resize({ path, format: "vdi" }, after, { files }),
        assertValid: async (_path, ended) => {
          const info = JSON.parse(await qemuImgOk("info", "--output=json", "-f", "vdi", path));
          assert([before, after].includes(info["virtual-size"]));
          // QEMU takes disks of two lengths for equal if the rest is zero.
          await qemuImgOk("compare", "-f", "vdi", "-F", "raw", path, old);
          // While blocks move, the header counts more of them, so that no program writes over a copy.
          const { code, stdout } = await qemuImg("check", "-f", "vdi", path);
          assert((ended ? [0] : [0, 2]).includes(code), stdout);
        },
        state: async () => {
          await using disk = await openDisk({ path, format: "vdi" });
          return await diskState(disk);
        },
        random,
        most: 8,
      });
    }
  },
});
