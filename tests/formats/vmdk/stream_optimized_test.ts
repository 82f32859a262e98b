import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";
import type { DiskWriter } from "../../../formats/contract.ts";
import { type Compressor, inlineCompressor } from "../../../formats/codec/compress.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes } from "../../support/model.ts";
import { type Rng, rng, seed } from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { bytesOf, openFiles } from "./support.ts";

const GRAIN = 65536;
const SECTOR = 512;

/** One item of a stream as a reader meets it that never goes back. */
type Item =
  | { readonly kind: "grain"; readonly sector: number; readonly bytes: Uint8Array; readonly at: number }
  | { readonly kind: "table" | "directory" | "footer" | "end"; readonly bytes: Uint8Array; readonly at: number };

/** Walks a stream by its markers alone, from the sector behind the overhead on. */
function walk(stream: Uint8Array): Item[] {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.length);
  const items: Item[] = [];
  let at = Number(view.getBigUint64(64, true)) * SECTOR;
  for (;;) {
    const value = Number(view.getBigUint64(at, true));
    const size = view.getUint32(at + 8, true);
    if (size > 0) {
      const bytes = inflateSync(stream.subarray(at + 12, at + 12 + size));
      items.push({ kind: "grain", sector: value, bytes, at });
      at += Math.ceil((12 + size) / SECTOR) * SECTOR;
      continue;
    }
    const kind = (["end", "table", "directory", "footer"] as const)[view.getUint32(at + 12, true)];
    assert.ok(kind !== undefined, `an unknown marker at ${at}`);
    const start = at + SECTOR;
    items.push({ kind, bytes: stream.subarray(start, start + value * SECTOR), at });
    at = start + value * SECTOR;
    if (kind === "end") {
      assert.equal(at, stream.length, "nothing follows the end of the stream");
      return items;
    }
  }
}

async function create(
  storage: MemoryStorage | RecordingStorage,
  size: number,
  compress?: Compressor,
): Promise<DiskWriter> {
  const plan = { size, options: { subformat: "streamOptimized" }, backing: null, compress: true };
  return await vmdk.create!(storage, plan, {
    ...inlineCodecs,
    createNamed: () => Promise.reject(new Error()),
    backing: null,
    ...(compress && { compressor: compress }),
  });
}

/** Whole grains, some of them left out; half of them do not compress. */
function grainOffsets(count: number, random: Rng): Map<number, Uint8Array> {
  const grains = new Map<number, Uint8Array>();
  for (let index = 0; index < count; index++) {
    if (random.chance(0.4)) continue;
    grains.set(
      index * GRAIN,
      random.chance(0.5) ? random.bytes(GRAIN) : new Uint8Array(GRAIN).fill(random.int(1, 256)),
    );
  }
  return grains;
}

Deno.test("a stream is what VMware's own tools write: markers, order, tables and directory behind the data", async () => {
  const random = rng(seed());
  const storage = new MemoryStorage(undefined, "a.vmdk");
  const size = 1500 * GRAIN + 512;
  const writer = await create(storage, size);
  assert.deepEqual(writer.traits, {
    size,
    clusterSize: GRAIN,
    sector: 512,
    logicalSectorSize: 512,
    compress: true,
    order: "ascending",
    startsZeroed: true,
    zeroes: "cheap",
  });
  const grains = grainOffsets(20, random);
  // A region without grains has no table; the last grain is short.
  grains.set(1100 * GRAIN, random.bytes(GRAIN));
  grains.set(1500 * GRAIN, random.bytes(512));
  for (const [start, bytes] of grains) await writer.write(bytes, start);
  await writer.finish();
  const stream = storage.bytes();
  const view = new DataView(stream.buffer);

  assert.deepEqual([view.getUint32(4, true), view.getUint32(8, true), view.getUint16(77, true)], [3, 0x30001, 1]);
  assert.equal(view.getBigUint64(56, true), 0xffffffffffffffffn, "the header leaves the directory to the footer");
  assert.equal(view.getBigUint64(64, true), 128n);
  const items = walk(stream);
  const found = items.filter((item) => item.kind === "grain");
  assert.deepEqual(found.map((item) => item.sector * SECTOR), [...grains.keys()]);
  for (const { sector, bytes } of found) {
    assert.equal(bytes.length, GRAIN, "every grain is whole");
    const expected = grains.get(sector * SECTOR)!;
    assertBytes(bytes.subarray(0, expected.length), expected);
  }
  const kinds = items.map((item) => item.kind).filter((kind) => kind !== "grain");
  assert.deepEqual(kinds, ["table", "table", "directory", "footer", "end"]);

  const table = (nth: number) => items.filter((item) => item.kind === "table")[nth];
  const directory = items.find((item) => item.kind === "directory")!;
  const entries = new Uint32Array(directory.bytes.slice().buffer);
  assert.deepEqual([...entries.subarray(0, 4)], [table(0).at / 512 + 1, 0, table(1).at / 512 + 1, 0]);
  const footer = items.find((item) => item.kind === "footer")!.bytes;
  const header = stream.slice(0, SECTOR);
  new DataView(header.buffer).setBigUint64(56, BigInt(directory.at / 512 + 1), true);
  assertBytes(footer, header);
  for (const item of found) {
    const at = item.sector / 128 % 512;
    const owner = new DataView((item.sector < 65536 ? table(0) : table(1)).bytes.slice().buffer);
    assert.equal(owner.getUint32(at * 4, true), item.at / 512);
  }
});

Deno.test("a stream is written without a step back", async () => {
  const random = rng(seed());
  const recording = new RecordingStorage(new MemoryStorage(undefined, "a.vmdk"));
  const writer = await create(recording, 100 << 20);
  for (const [start, bytes] of grainOffsets(1600, random)) await writer.write(bytes, start);
  await writer.finish();
  let end = 0;
  for (const { op, start, end: next } of recording.operations) {
    assert.equal(op, "write");
    assert.equal(start, end);
    end = next;
  }
  assert.equal(end, recording.size);
  assert.ok(recording.operations.length < recording.size / (1 << 19), "and with large requests");
});

Deno.test("writes that overlap end up in order, and all units of a write are handed in together", async () => {
  const random = rng(seed());
  const storage = new MemoryStorage(undefined, "a.vmdk");
  let [underWay, most] = [0, 0];
  const slow: Compressor = async (codec, grain) => {
    assert.deepEqual([codec.name, grain.length], ["zlib", GRAIN]);
    most = Math.max(most, ++underWay);
    const copy = grain.slice();
    await new Promise((resolve) => setTimeout(resolve, random.int(5)));
    underWay--;
    return await inlineCompressor(codec, copy);
  };
  const size = 40 * 4 * GRAIN;
  const writer = await create(storage, size, slow);
  const model = new Uint8Array(size);
  const inFlight: Promise<void>[] = [];
  for (let piece = 0; piece < 40; piece++) {
    const start = piece * 4 * GRAIN;
    model.set(random.bytes(100), start + 17);
    model.fill(piece + 1, start + 3 * GRAIN, start + 4 * GRAIN);
    const [first, last] = [start + GRAIN, start + 3 * GRAIN];
    // As the engine does it: zeroes in between are left out, and the next pieces are already under way.
    const work = async () => {
      const parts = [
        writer.write(model.subarray(start, first), start),
        writer.write(model.subarray(last, start + 4 * GRAIN), last),
      ];
      await Promise.all(parts);
    };
    if (inFlight.length >= 9) await inFlight[inFlight.length - 9];
    inFlight.push(work());
  }
  await Promise.all(inFlight);
  await writer.write(model.subarray(0, 0), size);
  await writer.finish();
  assert.ok(most >= 4, `at most ${most} units were under way`);
  const sectors = walk(storage.bytes()).filter((item) => item.kind === "grain").map((item) => item.sector);
  assert.deepEqual(sectors, sectors.toSorted((a, b) => a - b));
  const disk = await openFiles({ "a.vmdk": storage.bytes() });
  assertBytes(await bytesOf(disk), model);
});

Deno.test("a write that comes too late is an error, not a wrong image", async () => {
  const writer = await create(new MemoryStorage(undefined, "a.vmdk"), 200 << 20);
  await writer.write(new Uint8Array(1 << 20).fill(1), 1 << 20);
  await assert.rejects(writer.write(new Uint8Array(GRAIN).fill(1), 0), /rising positions/);
});

Deno.test("data that do not compress are stored inside zlib streams", async () => {
  const random = rng(seed());
  const storage = new MemoryStorage(undefined, "a.vmdk");
  const writer = await create(storage, 4 * GRAIN);
  const model = random.bytes(4 * GRAIN);
  await writer.write(model, 0);
  await writer.finish();
  const disk = await openFiles({ "a.vmdk": storage.bytes() });
  assertBytes(await bytesOf(disk), model);
});

Deno.test("many regions: every table is behind its grains", async () => {
  const storage = new MemoryStorage(undefined, "a.vmdk");
  const size = 600 * 512 * GRAIN;
  const writer = await create(storage, size);
  const grain = new Uint8Array(GRAIN).fill(5);
  for (let region = 0; region < 600; region += 7) {
    await writer.write(grain, region * 512 * GRAIN + (region % 512) * GRAIN);
  }
  await writer.finish();
  const items = walk(storage.bytes());
  items.forEach((item, index) => {
    if (item.kind === "grain") assert.equal(items[index + 1].kind, "table");
  });
  const disk = await openFiles({ "a.vmdk": storage.bytes() });
  const into = new Uint8Array(1);
  await disk.read(into, 7 * 512 * GRAIN + 7 * GRAIN);
  assert.equal(into[0], 5);
});

Deno.test("compressed grains that follow each other are read with one request", async () => {
  const random = rng(seed());
  const storage = new MemoryStorage(undefined, "a.vmdk");
  const writer = await create(storage, 16 * GRAIN);
  const model = random.bytes(16 * GRAIN);
  for (let at = 0; at < 16; at += 2) model.fill(at, at * GRAIN, (at + 1) * GRAIN);
  await writer.write(model, 0);
  await writer.finish();
  const recording = new RecordingStorage(storage);
  const disk = await vmdk.open(recording, { ...inlineCodecs, openNamed: () => Promise.reject(new Error()) });
  await disk.extentAt(0, disk.size);
  recording.operations.length = 0;
  const into = new Uint8Array(16 * GRAIN);
  await disk.read(into, 0);
  assertBytes(into, model);
  assert.equal(recording.of("read").length, 1);
  for (const start of [0, 512, 1024]) await disk.read(into.subarray(0, 512), start);
  assert.ok(recording.of("read").length <= 4);
});
