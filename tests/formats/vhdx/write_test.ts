import assert from "node:assert/strict";
import { convert } from "../../../mod.ts";
import { type DiskWriter, MemoryStorage, type OptionValues, type WritableStorage } from "../../../formats/mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { diskcast } from "../../support/diskcast.ts";
import { libyal } from "../../support/libyal.ts";
import { assertBytes, readAll, workAtRandom } from "../../support/model.ts";
import {
  guestBytes,
  hasQemu,
  qemuImg,
  qemuImgOk,
  qemuIo,
  readSparse,
  type Rng,
  rng,
  rounds,
  type Scratch,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { AT, MIB } from "./build.ts";
import { extentLines, openBytes, openFrom, pathOpened } from "./support.ts";

const GIB = 2 ** 30;
const noNamed = { ...inlineCodecs, createNamed: () => Promise.reject(new Error("It names no file")), backing: null };

function create(storage: WritableStorage, size: number, options: OptionValues = {}): Promise<DiskWriter> {
  const plan = { size, options, backing: null, compress: false };
  vhdx.checkPlan!(plan);
  return vhdx.create!(storage, plan, noNamed);
}

/** Every sort of image that can be asked for. */
const SORTS: readonly OptionValues[] = [
  {},
  { subformat: "fixed" },
  { block_size: MIB },
  { block_size: 2 * MIB, block_state_zero: false },
  { log_size: 3 * MIB, block_size: 32 * MIB },
  { sparse: false },
  { subformat: "fixed", sparse: false, block_size: 4 * MIB },
];

function listed(options: OptionValues): string {
  return Object.entries(options).map(([name, value]) => `${name}=${value === false ? "off" : value}`).join(",");
}

for (const options of SORTS) {
  const title = listed(options) || "default options";
  Deno.test({
    name: `what is written with ${title} is equal for qemu-img, which finds no error`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const raw = await randomDisk(folder, rng(seed()));
      const path = folder.file("a.vhdx");
      await convert({ sources: [{ path: raw, format: "raw" }], target: { path, format: "vhdx", options } });
      await judge(path, raw);
      await convert({ sources: [{ path }], target: { path: folder.file("b.raw"), format: "raw" } });
      assertBytes(await readSparse(folder.file("b.raw")), await readSparse(raw));
      const info = JSON.parse(await qemuImgOk("info", "--output=json", path));
      if (options["block_size"]) assert.equal(info["cluster-size"], options["block_size"]);
      const { size, blocks } = await Deno.stat(path);
      assert.equal(size % MIB, 0);
      if (options["sparse"] === false && blocks !== null) assert(blocks * 512 >= size, "not one hole");
    },
  });
}

/** A raw disk with data at random offsets, some of it past 64 MiB. */
async function randomDisk(folder: Scratch, random: Rng): Promise<string> {
  const path = folder.file("a.raw");
  const size = random.int(66, 80) * MIB + random.int(8) * 512;
  using file = await Deno.open(path, { create: true, write: true });
  await file.truncate(size);
  for (let count = 0; count < rounds(12, 25); count++) {
    const bytes = random.bytes(random.int(1, 700) * 512);
    file.seekSync(random.int((size - bytes.length) / 512) * 512, Deno.SeekMode.Start);
    file.writeSync(bytes);
  }
  return path;
}

async function judge(path: string, raw: string): Promise<void> {
  const compared = await qemuImg("compare", "-f", "vhdx", "-F", "raw", path, raw);
  assert.equal(compared.code, 0, compared.stdout + compared.stderr);
  const checked = await qemuImg("check", "-f", "vhdx", path);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
}

for (const options of ["subformat=dynamic,block_size=1M", "subformat=fixed", "block_state_zero=off"]) {
  Deno.test({
    name: `writes into what qemu-img made with ${options}`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(seed());
      const [before, raw, path] = [await randomDisk(folder, random), folder.file("new.raw"), folder.file("a.vhdx")];
      await qemuImgOk("convert", "-f", "raw", "-O", "vhdx", "-o", options, before, path);
      await Deno.rename(before, folder.file("before.raw"));
      const other = await randomDisk(folder, random);
      const { size } = await Deno.stat(folder.file("before.raw"));
      await Deno.truncate(other, Math.min((await Deno.stat(other)).size, size));
      await Deno.rename(other, raw);
      const args = ["convert", "-n", "-f", "raw", "-O", "vhdx", raw, path];
      const outcome = await diskcast(...args);
      assert.equal(outcome.code, 0, outcome.stderr);
      // Past the source's end the target is as it was.
      const expected = await readSparse(folder.file("before.raw"));
      expected.set(await readSparse(raw));
      assertBytes(await guestBytes(path, "vhdx"), expected);
      assert.equal((await qemuImg("check", "-f", "vhdx", path)).code, 0);
    },
  });
}

Deno.test({
  name: "past 4 GiB, where entries of sector bitmaps stand between those of blocks, both see the same",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const starts = [0, 4 * GIB - MIB, 4 * GIB, 4 * GIB + MIB, 8 * GIB - 512, 8 * GIB, 9 * GIB - 65_536];
    for (const options of ["block_size=1M", "block_size=256M", "subformat=fixed,block_size=32M"]) {
      const [raw, ours, theirs] = ["a.raw", "ours.vhdx", "theirs.vhdx"].map((name) => folder.file(name));
      await qemuImgOk("create", "-q", "-f", "raw", raw, "9G");
      const writes = starts.map((start, nth) => `write -P ${nth + 1} ${start} 65536`);
      await qemuIo(["-f", "raw", raw], ...writes);
      const given = Object.fromEntries(options.split(",").map((option) => option.split("=")));
      await convert({
        sources: [{ path: raw, format: "raw" }],
        target: { path: ours, format: "vhdx", options: given },
      });
      // The fifth write was in part written over by the sixth.
      const reads = starts.map((start, nth) => `read -P ${nth + 1} ${start} ${nth === 4 ? 512 : 65536}`);
      await qemuIo(["-f", "vhdx", ours], ...reads, `read -P 0 ${4 * GIB + 2 * MIB} 1M`);
      await qemuImgOk("check", "-q", "-f", "vhdx", ours);
      await qemuImgOk("create", "-q", "-f", "vhdx", "-o", options, theirs, "9G");
      await qemuIo(["-f", "vhdx", theirs], ...writes);
      await using disk = await pathOpened(theirs);
      for (const [nth, start] of starts.entries()) {
        const into = new Uint8Array(nth === 4 ? 512 : 65_536);
        await disk.read(into, start);
        assert(into.every((byte) => byte === nth + 1), `${options} ${start}`);
      }
    }
  },
});

const libvhdi = await libyal("vhdx");

Deno.test({
  name: "another reader sees the same disk: libvhdi",
  ignore: libvhdi === null,
  async fn() {
    await using folder = await scratch();
    const raw = await randomDisk(folder, rng(seed()));
    for (const options of SORTS) {
      const path = folder.file("a.vhdx");
      await convert({ sources: [{ path: raw, format: "raw" }], target: { path, format: "vhdx", options } });
      await libvhdi!(path, raw);
    }
  },
});

Deno.test({
  name: "no size is too small: the files stay small, and others open them",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    for (const subformat of ["dynamic", "fixed"]) {
      for (const size of [0, 1, 511, 512, 513, MIB - 512, MIB, MIB + 1]) {
        const [raw, path] = [folder.file("a.raw"), folder.file("a.vhdx")];
        await Deno.writeFile(raw, new Uint8Array(size).fill(7));
        const target = { path, format: "vhdx", options: { subformat } };
        await convert({ sources: [{ path: raw, format: "raw" }], target });
        await Deno.truncate(raw, Math.ceil(size / 512) * 512);
        await judge(path, raw);
        assert((await Deno.stat(path)).size <= 11 * MIB, `${size}`);
      }
    }
  },
});

Deno.test("sizes up to 64 TiB, and what they cost", async () => {
  for (const options of [{}, { block_size: MIB, block_state_zero: false }]) {
    const storage = new RecordingStorage(new MemoryStorage());
    const size = 64 * 2 ** 40;
    const writer = await create(storage, size, options);
    await writer.write(new Uint8Array(512).fill(7), size - 512);
    await writer.zero(0, 64 * MIB);
    await writer.finish();
    assert(storage.operations.length < 200, `${storage.operations.length} requests`);
  }
  assert.throws(() => vhdx.checkPlan!({ size: 64 * 2 ** 40 + 1, options: {}, backing: null, compress: false }), {
    kind: "usage",
  });
});

Deno.test("plans that cannot be are refused", () => {
  const plan = { size: MIB, options: {}, backing: null, compress: false };
  const refused = (change: object) => assert.throws(() => vhdx.checkPlan!({ ...plan, ...change }), { kind: "usage" });
  vhdx.checkPlan!(plan);
  refused({ options: { block_size: 3 * MIB } });
  refused({ options: { subformat: "fixed", block_state_zero: true } });
  refused({ options: { subformat: "fixed", block_state_zero: false } });
  refused({ backing: { name: "a.vhdx", format: "vhdx" } });
  refused({ compress: true });
});

Deno.test("blocks fit the disk", async () => {
  for (const [size, unit] of [[1, 1], [3 * MIB, 4], [GIB, 8], [2 * GIB, 16], [101 * GIB, 32], [33 * 1024 * GIB, 64]]) {
    assert.equal((await create(new MemoryStorage(), size)).traits.clusterSize, unit * MIB, `${size}`);
  }
});

for (const options of SORTS) {
  Deno.test(`nothing is read back, and what makes the file an image comes last: ${listed(options)}`, async () => {
    const storage = new RecordingStorage(new MemoryStorage());
    const writer = await create(storage, 9 * MIB, options);
    await workAtRandom(writer, new Uint8Array(9 * MIB), rng(seed()), 20);
    await writer.finish();
    assert.deepEqual(storage.of("read", "sync"), []);
    assert.deepEqual(storage.operations.at(-1), { op: "write", start: 0, end: 4096 });
    const bytes = new Uint8Array(storage.size);
    await storage.readAt(bytes, 0);
    const covered = storage.operations.filter(({ op }) => op === "write" || op === "reserve");
    if (options["sparse"] === false) assert.equal(holesOf(covered, bytes.length), 0, "every byte was written");
    else assert(holesOf(covered, bytes.length) > MIB, "what was not needed was not written");
  });
}

function holesOf(covered: readonly { start: number; end: number }[], size: number): number {
  const sorted = [...covered].sort((a, b) => a.start - b.start);
  let [end, holes] = [0, 0];
  for (const one of [...sorted, { start: size, end: size }]) {
    holes += Math.max(0, one.start - end);
    end = Math.max(end, one.end);
  }
  return holes;
}

Deno.test("on a device that holds old data everything reads as it was written", async () => {
  for (const options of SORTS) {
    const random = rng(seed());
    const storage = new MemoryStorage(new Uint8Array(48 * MIB).fill(0xa5));
    const writer = await create(storage, 9 * MIB, options);
    assert.equal(storage.startsZeroed, false);
    const model = new Uint8Array(9 * MIB);
    await workAtRandom(writer, model, random, 20);
    await writer.finish();
    assertBytes(await readAll(await openBytes(storage.bytes())), model);
  }
});

Deno.test("what was not written is zero, as the table tells", async () => {
  const storage = new MemoryStorage();
  const writer = await create(storage, 8 * MIB, { block_size: MIB });
  await writer.write(new Uint8Array(512).fill(1), 5 * MIB - 512);
  await writer.finish();
  assert.deepEqual(await extentLines(await openFrom(storage)), ["zero 0-4096", "data 4096-5120", "zero 5120-8192"]);
  assert.equal(storage.bytes().length, 5 * MIB, "headers, log, metadata, BAT and one block");
});

Deno.test("entries of sector bitmaps stay not present", async () => {
  const storage = new MemoryStorage();
  const writer = await create(storage, 9 * GIB, { block_size: 256 * MIB });
  await writer.finish();
  const states = [...storage.bytes().subarray(3 * MIB, 3 * MIB + 40 * 8)].filter((_, at) => at % 8 === 0);
  assert.deepEqual(states.map((state, index) => state === 0 ? index : -1).filter((index) => index >= 0), [
    16,
    33,
    38,
    39,
  ]);
});

Deno.test("the log has whole MiB", async () => {
  const storage = new MemoryStorage();
  await (await create(storage, MIB, { log_size: MIB + 1 })).finish();
  assert.equal((await openFrom(storage)).info["log-size"], 2 * MIB);
});

Deno.test("every new image has IDs of its own", async () => {
  const ids = new Set<unknown>();
  for (let count = 0; count < 3; count++) {
    const storage = new MemoryStorage();
    await (await create(storage, MIB)).finish();
    const disk = await openFrom(storage);
    ids.add(disk.id).add(disk.info["virtual-disk-id"]);
    for (const at of [AT.header1, AT.header2]) assert.equal(storage.bytes()[at], 0x68);
  }
  assert.equal(ids.size, 6);
});
