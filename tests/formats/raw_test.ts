import assert from "node:assert/strict";
import type { CreatePlan } from "../../formats/contract.ts";
import { raw } from "../../formats/raw.ts";
import { dataExtent, zeroExtent } from "../../formats/extent.ts";
import { createFileStorage, openFileStorage } from "../../formats/storage/file.ts";
import { MemoryStorage } from "../../formats/storage/memory.ts";
import type { Storage } from "../../formats/storage/types.ts";
import { inlineCodecs } from "../support/codecs.ts";
import { hasQemu, mapJson, qemuImgOk, qemuIo, rng, scratch } from "../support/qemu.ts";
import { FaultyStorage, RecordingStorage } from "../support/storage.ts";

const MIB = 1 << 20;
const never = () => Promise.reject(new Error("raw names no file"));
const openContext = { ...inlineCodecs, openNamed: never };
const createContext = { ...inlineCodecs, createNamed: never, backing: null };
const editContext = { ...inlineCodecs, compress: false, openNamed: never, openBacking: never };

function plan(size: number, options: CreatePlan["options"] = {}): CreatePlan {
  return { size, options, backing: null, compress: false };
}

Deno.test("raw has the file's bytes and exact size", async () => {
  for (const size of [0, 1, 511, 513, 70_001]) {
    const content = rng(size).bytes(size);
    const disk = await raw.open(new MemoryStorage(content), openContext);
    assert.deepEqual([disk.format, disk.size, disk.clusterSize, disk.backing], ["raw", size, 1, null]);
    const bytes = new Uint8Array(size);
    await disk.read(bytes, 0);
    assert.deepEqual(bytes, content);
  }
});

Deno.test("raw never claims a file", () => {
  assert.equal(raw.probe({ head: new Uint8Array(512), tail: new Uint8Array(512), size: 512 }), "no");
});

Deno.test("runs are data to the limit where holes cannot be found", async () => {
  const storage = new MemoryStorage(new Uint8Array(1000));
  const disk = await raw.open(storage, openContext);
  assert.deepEqual(await disk.extentAt(7, 900), dataExtent(7, 900, { storage, offset: 7 }));
});

Deno.test("holes are stated zeroes", async () => {
  const storage = withHole(new MemoryStorage(new Uint8Array(1000)), 100, 200);
  const disk = await raw.open(storage, openContext);
  assert.deepEqual(await disk.extentAt(0, 1000), dataExtent(0, 100, { storage, offset: 0 }));
  assert.deepEqual(await disk.extentAt(100, 1000), zeroExtent(100, 200, { storage, offset: 100 }));
  assert.deepEqual(await disk.extentAt(150, 160), zeroExtent(150, 160, { storage, offset: 150 }));
  assert.deepEqual(await disk.extentAt(200, 1000), dataExtent(200, 1000, { storage, offset: 200 }));
});

Deno.test("create sets the exact size, then writes what it gets", async () => {
  const storage = new RecordingStorage(new MemoryStorage());
  const writer = await raw.create!(storage, plan(1001), createContext);
  assert.deepEqual(writer.traits, {
    size: 1001,
    clusterSize: 1,
    sector: 1,
    compress: false,
    order: "any",
    startsZeroed: true,
    zeroes: "cheap",
  });
  await writer.write(new Uint8Array(10), 991);
  await writer.zero(3, 5);
  await writer.finish();
  assert.deepEqual(storage.operations, [
    { op: "truncate", start: 1001, end: 1001 },
    { op: "write", start: 991, end: 1001 },
    { op: "zero", start: 3, end: 5 },
  ]);
  assert.equal(storage.size, 1001);
});

Deno.test("preallocation takes its space before any data", async () => {
  for (const preallocation of ["falloc", "full"]) {
    const storage = new RecordingStorage(new MemoryStorage());
    const writer = await raw.create!(storage, plan(5000, { preallocation }), createContext);
    await writer.finish();
    assert.deepEqual(storage.operations.map(({ op, end }) => [op, end]), [["truncate", 5000], ["reserve", 5000]]);
    await using folder = await scratch();
    await using file = await createFileStorage(folder.file("a"));
    const second = await raw.create!(file, plan(3 * MIB + 7, { preallocation }), createContext);
    await second.zero(0, 3 * MIB);
    await second.finish();
    await file.sync();
    const { size, blocks } = Deno.statSync(folder.file("a"));
    assert.equal(size, 3 * MIB + 7);
    if (Deno.build.os !== "windows") assert.ok(blocks! * 512 >= size, `${blocks} blocks`);
  }
});

Deno.test("edit writes in place and keeps the rest", async () => {
  const storage = new MemoryStorage(new Uint8Array([1, 2, 3, 4, 5]));
  const writer = await raw.edit!(storage, editContext);
  assert.deepEqual([writer.traits.size, writer.traits.startsZeroed], [5, false]);
  await writer.write(new Uint8Array([9]), 1);
  await writer.zero(3, 4);
  await writer.finish();
  assert.deepEqual([...storage.bytes()], [1, 9, 3, 0, 5]);
});

Deno.test("failures of the storage come through", async () => {
  await assert.rejects(
    raw.create!(new FaultyStorage(new MemoryStorage(), ["truncate"], 1), plan(10), createContext),
    { kind: "io", message: 'Cannot truncate at 10 of "memory": made to fail' },
  );
  const storage = new FaultyStorage(new MemoryStorage(), ["write"], 2);
  const writer = await raw.create!(storage, plan(10), createContext);
  await writer.write(new Uint8Array(1), 0);
  await assert.rejects(writer.write(new Uint8Array(1), 5), { kind: "io", offset: 5 });
  await writer.write(new Uint8Array(1), 6);
  assert.equal(storage.count, 3);
});

Deno.test({
  name: "runs agree with qemu-img map",
  ignore: !hasQemu || Deno.build.os !== "linux",
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.raw");
    await qemuImgOk("create", "-q", "-f", "raw", path, "10M");
    await qemuIo(["-f", "raw", path], "write -P 1 1M 64k", "write -P 2 3M 1M", "write -P 3 10420224 64k");
    await using storage = await openFileStorage(path);
    const disk = await raw.open(storage, openContext);
    const runs = [];
    for (let position = 0; position < disk.size;) {
      const run = await disk.extentAt(position, disk.size);
      runs.push([run.start, run.end, run.kind]);
      position = run.end;
    }
    const map = await mapJson(path, "raw");
    assert.deepEqual(runs, map.map((entry) => [entry.start, entry.start + entry.length, entry.data ? "data" : "zero"]));
  },
});

function withHole(storage: Storage, start: number, end: number): Storage {
  return {
    label: storage.label,
    size: storage.size,
    readAt: (into, fileOffset) => storage.readAt(into, fileOffset),
    holeAt(fileOffset, limit) {
      const hole = fileOffset >= start && fileOffset < end;
      const until = fileOffset < start ? start : hole ? end : limit;
      return Promise.resolve({ hole, end: Math.min(until, limit) });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
