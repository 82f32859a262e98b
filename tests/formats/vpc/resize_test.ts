import assert from "node:assert/strict";
import { check, openDisk, resize } from "../../../mod.ts";
import type { Preallocation } from "../../../formats/maintenance.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { tryCrashes, tryMemoryCrashes } from "../../support/crash_matrix.ts";
import {
  assertBytes,
  changeContext,
  contentOf,
  diskState,
  fingerprint,
  openImage,
  resized,
} from "../../support/model.ts";
import {
  guestBytes,
  hasQemu,
  qemuImgOk,
  qemuIo,
  rng,
  rounds,
  run,
  type Scratch,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { RecordingStorage, WatchedStorage } from "../../support/storage.ts";
import { AT, buildVhd, randomImage, seal } from "./build.ts";

const MIB = 1 << 20;
const runSeed = seed();
const { check: checkVpc, repair: repairVpc, resize: resizeVpc } = vpc.maintenance as Required<
  NonNullable<typeof vpc.maintenance>
>;
const NOTHING = new Uint8Array(0);

async function namesIn(storage: MemoryStorage): Promise<string> {
  const disk = await openImage(vpc, { storage, named: new Map() });
  return JSON.stringify(disk.backing);
}

/** What a crash leaves can be mended, and reads the same after that. */
async function assertMends(left: MemoryStorage, parentBytes: Uint8Array, state: string): Promise<void> {
  const mended = new MemoryStorage(left.bytes());
  await repairVpc(mended, "all", changeContext(parentBytes));
  const { corruptions, leaks, problems } = await checkVpc(mended, changeContext());
  assert.deepEqual([corruptions, leaks], [0, 0], problems[0]?.message);
  assert.equal(`${fingerprint(await contentOf(vpc, mended, parentBytes))} ${await namesIn(mended)}`, state);
}

const GROWTHS: readonly Preallocation[] = ["off", "metadata", "falloc", "full"];

for (const [type, name] of [[2, "fixed"], [3, "dynamic"], [4, "differencing"]] as const) {
  Deno.test(`resizing keeps every byte, what is new is zero, a crash leaves one state: ${name}`, async () => {
    const random = rng(runSeed);
    for (let round = 0; round < rounds(10, 25); round++) {
      const { built, parentBytes: parent } = randomImage(random, type === 2 ? 3 : type);
      const parentBytes = type === 4 ? parent : NOTHING;
      const data = random.bytes(built.size);
      const start = buildVhd(type === 2 ? { ...built, type, data } : built);
      const model = await contentOf(vpc, new MemoryStorage(start), parentBytes);
      const names = await namesIn(new MemoryStorage(start));
      // Up to a table of several sectors, which the first blocks are in the way of.
      const size = random.int(random.chance(0.3) ? 20 : 600) * 512;
      const preallocation = size > model.length
        ? random.pick(GROWTHS.filter((one) => type !== 2 || one !== "metadata"))
        : "off";
      const ended = await tryMemoryCrashes({
        start,
        action: (storage) => resizeVpc(storage, size, preallocation, changeContext(parentBytes)),
        state: async (storage) => {
          const state = `${fingerprint(await contentOf(vpc, storage, parentBytes))} ${await namesIn(storage)}`;
          await assertMends(storage, parentBytes, state);
          return state;
        },
        random,
      });
      assertBytes(await contentOf(vpc, ended, parentBytes), resized(model, size));
      assert.equal(await namesIn(ended), names);
      const { corruptions, problems } = await checkVpc(ended, changeContext(parentBytes));
      assert.equal(corruptions, 0, problems[0]?.message);
      if (size === model.length) continue;
      const bytes = ended.bytes();
      if (type !== 2) assertBytes(bytes.subarray(0, 512), bytes.subarray(bytes.length - 512));
      if (type === 2) assert.equal(bytes.length, size + 512);
    }
  });
}

Deno.test("the table grows over the first blocks: they move to the end, and nothing else does", async () => {
  const blockSize = 4096;
  const blocks = [0, 1, 2].map((index) => ({ index, bitmap: 0xff, data: new Uint8Array(blockSize).fill(index + 1) }));
  const start = buildVhd({ type: 3, size: 3 * blockSize, blockSize, blocks });
  const storage = new MemoryStorage(start);
  const size = 1000 * blockSize;
  await resizeVpc(storage, size, "off", changeContext());
  const view = new DataView(storage.bytes().buffer);
  const entries = [0, 1, 2].map((index) => view.getUint32(AT.table + index * 4) * 512);
  assert.equal(view.getBigUint64(512 + 16), BigInt(AT.table), "the table stays where it is");
  assert.equal(view.getUint32(512 + 28), 1000);
  assert(entries[0]! > start.length - 512);
  assert.deepEqual(entries.slice(1), [AT.table + 512 + 4608, AT.table + 512 + 2 * 4608]);
  assertBytes(await contentOf(vpc, storage), resized(await contentOf(vpc, new MemoryStorage(start)), size));
});

Deno.test("a header behind the table is in the way of its growth: refused, and nothing is changed", async () => {
  const built = buildVhd({ type: 3, size: 4096, blockSize: 512 });
  const bytes = new Uint8Array(built.length + 1024);
  bytes.set(built);
  // Footer copy, table, header.
  bytes.copyWithin(1024, 512, 1536);
  bytes.fill(0xff, 512, 1024);
  new DataView(bytes.buffer).setBigUint64(16, 1024n);
  new DataView(bytes.buffer).setBigUint64(1024 + 16, 512n);
  seal(bytes.subarray(0, 512), 64);
  seal(bytes.subarray(1024, 2048), 36);
  bytes.copyWithin(bytes.length - 512, 0, 512);
  const storage = new RecordingStorage(new MemoryStorage(bytes));
  await resizeVpc(storage, 128 * 512, "off", changeContext());
  storage.operations.length = 0;
  await assert.rejects(resizeVpc(storage, 129 * 512, "off", changeContext()), {
    kind: "unsupported",
    message: /header lies behind its block allocation table/,
  });
  assert.deepEqual(storage.of("write", "zero", "truncate"), []);
});

Deno.test("sizes and modes that cannot be are refused before anything is changed", async () => {
  const fixed = buildVhd({ type: 2, size: 4096 });
  const dynamic = buildVhd({ type: 3, size: 4096, blockSize: 512 });
  const cases = [
    [fixed, 8192, "metadata", /every guest byte is allocated anyway/],
    [fixed, 8191, "off", /multiple of 512/],
    [dynamic, 100, "off", /multiple of 512/],
    [dynamic, 2040 * 2 ** 30 + 512, "off", /2040 GiB/],
    [dynamic, (1 << 24) * 512 + 512, "off", /the limit is 16777216/],
  ] as const;
  for (const [bytes, size, preallocation, message] of cases) {
    const storage = new RecordingStorage(new MemoryStorage(bytes));
    await assert.rejects(resizeVpc(storage, size, preallocation, changeContext()), { message });
    assert.deepEqual(storage.of("write", "zero", "truncate", "reserve"), []);
  }
});

Deno.test("blocks that overlap are not resized", async () => {
  const bytes = buildVhd({ type: 3, size: 8192, blockSize: 4096, blocks: [{ index: 0, bitmap: 255, data: NOTHING }] });
  new DataView(bytes.buffer).setUint32(AT.table + 4, AT.table / 512 + 1);
  for (const size of [4096, 1 << 20]) {
    await assert.rejects(resizeVpc(new MemoryStorage(bytes), size, "off", changeContext()), { kind: "corrupt" });
  }
});

Deno.test("a file without holes gets none by growing", async () => {
  for (const type of [2, 3] as const) {
    for (const preallocation of ["off", "full"] as const) {
      const inner = new MemoryStorage(buildVhd({ type, size: 4096, blockSize: 4096 }));
      const length = inner.size;
      const written: boolean[] = [];
      const dense = Object.assign(inner, {
        holeAt: (_start: number, limit: number) => Promise.resolve({ hole: false, end: limit }),
      });
      const storage = new WatchedStorage(dense, ({ op, start, end }) => {
        if (op === "write") written.fill(true, start / 512, written.length = Math.max(written.length, end / 512));
        if (op === "zero") assert(end <= length, "a hole");
      });
      await resizeVpc(storage, 3 << 20, preallocation, changeContext());
      for (let sector = length / 512; sector < inner.size / 512; sector++) assert(written[sector], `sector ${sector}`);
    }
  }
});

Deno.test("an image that goes by its geometry gets one that says the new size, or the largest", async () => {
  for (const [creator, geometry] of [["vpc ", [301, 4, 17]], ["win ", [65535, 16, 255]]] as const) {
    for (const size of [10 * MIB, 513 * 1023]) {
      const storage = new MemoryStorage(buildVhd({ type: 3, size: 301 * 4 * 17 * 512, creator, geometry }));
      await resizeVpc(storage, size - size % 512, "off", changeContext());
      const disk = await openImage(vpc, { storage, named: new Map() });
      assert.equal(disk.size, size - size % 512);
      const { cylinders, heads, sectors } = disk.info["geometry"] as Record<string, number>;
      const product = cylinders! * heads! * sectors! * 512;
      assert([disk.size, 65535 * 16 * 255 * 512].includes(product));
      if (creator === "win ") assert.notEqual(product, disk.size, "forced to the current size");
    }
  }
});

/** An image of qemu-img with random data. */
async function made(folder: Scratch, options: string, size: number, random: ReturnType<typeof rng>): Promise<string> {
  const path = folder.file("image.vhd");
  await qemuImgOk("create", "-q", "-f", "vpc", "-o", options, path, `${size}`);
  const commands = Array.from({ length: 8 }, () => {
    const start = random.int(size / 512) * 512;
    return `write -P ${random.int(256)} ${start} ${Math.min(size - start, random.int(1, 3000) * 512)}`;
  });
  await qemuIo(["-f", "vpc", path], ...commands);
  return path;
}

Deno.test({
  name: "qemu-img and libvhdi read the disk with its new size, and QEMU writes into it",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (const subformat of ["dynamic", "fixed"]) {
      for (const force of ["on", "off"]) {
        const path = await made(folder, `subformat=${subformat},force_size=${force}`, 9 * MIB + 512, random);
        let model = await guestBytes(path, "vpc");
        for (
          const [size, preallocation] of [
            [20 * MIB, "off"],
            [21 * MIB + 1024, "full"],
            [5 * MIB - 512, "off"],
            [23 * MIB, "falloc"],
            ...subformat === "fixed" ? [] : [[25 * MIB, "metadata"] as const],
            [random.int(1, 60_000) * 512, "off"],
          ] as const
        ) {
          await resize({ path, format: "vpc" }, size, {
            shrink: true,
            preallocation: size > model.length ? preallocation : "off",
          });
          model = resized(model, size);
          assertBytes(await guestBytes(path, "vpc"), model);
          assert.equal((await check({ path })).corruptions, 0);
          assert.match((await run("vhdiinfo", [path])).stdout, new RegExp(`Media size.*\\b${size} bytes`));
          const at = random.int(size / 512) * 512;
          await qemuIo(["-f", "vpc", path], `write -P 119 ${at} 512`);
          model.fill(119, at, at + 512);
        }
        assertBytes(await guestBytes(path, "vpc"), model);
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
    // A table of 128 blocks of 2 MiB ends with its sector: one more block is in the way of the first.
    for (
      const [subformat, before, after] of [["dynamic", 200 * MIB, 260 * MIB], ["fixed", 3 * MIB, 5 * MIB]] as const
    ) {
      const path = await made(folder, `subformat=${subformat},force_size=on`, before, random);
      const old = folder.file("old.raw");
      await qemuImgOk("convert", "-f", "vpc", "-O", "raw", path, old);
      const changes = await tryCrashes({
        path,
        action: (files) => resize({ path, format: "vpc" }, after, { files }),
        assertValid: async () => {
          const info = JSON.parse(await qemuImgOk("info", "--output=json", "-f", "vpc", path));
          assert([before, after].includes(info["virtual-size"]));
          // QEMU takes disks of two lengths for equal if the rest is zero.
          await qemuImgOk("compare", "-f", "vpc", "-F", "raw", path, old);
        },
        state: async () => {
          await using disk = await openDisk({ path, format: "vpc" });
          return await diskState(disk);
        },
        random,
        most: 6,
      });
      assert(changes > 5);
    }
  },
});
