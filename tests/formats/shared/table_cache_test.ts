import assert from "node:assert/strict";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { tableCache } from "../../../formats/shared/table_cache.ts";
import { rng, seed } from "../../support/qemu.ts";
import { FaultyStorage, RecordingStorage } from "../../support/storage.ts";

const TABLE = 64;

function storageOf(tables: number): MemoryStorage {
  return new MemoryStorage(new Uint8Array(tables * TABLE).map((_, at) => Math.floor(at / TABLE)));
}

Deno.test("a table is read once while it is held, and again after it gave way", async () => {
  const storage = new RecordingStorage(storageOf(8));
  const cache = tableCache(storage, TABLE, 3 * TABLE);
  for (const index of [0, 1, 2, 0, 1, 2, 0]) assert.equal((await cache.get(index * TABLE))[5], index);
  assert.equal(storage.of("read").length, 3);
  await cache.get(3 * TABLE); // 1 was not used for the longest time
  assert.equal(cache.peek(1 * TABLE, () => true), undefined);
  assert.equal(cache.peek(0, () => true), true);
  assert.equal((await cache.get(1 * TABLE))[0], 1);
  assert.equal(storage.of("read").length, 5);
});

Deno.test("requests for one table at one time share one read", async () => {
  const storage = new RecordingStorage(storageOf(8));
  const cache = tableCache(storage, TABLE, 4 * TABLE);
  const tables = await Promise.all([1, 1, 1, 2, 1].map((index) => cache.get(index * TABLE)));
  assert.equal(storage.of("read").length, 2);
  assert.equal(tables[0], tables[4]);
});

Deno.test("a table that is here is looked at without waiting", async () => {
  const cache = tableCache(storageOf(8), TABLE, 4 * TABLE);
  const look = () => cache.look(TABLE, ({ bytes, view }) => bytes[9]! + view.getUint8(0));
  assert.ok(look() instanceof Promise);
  assert.equal(await look(), 2);
  assert.equal(look(), 2);
});

Deno.test("the memory of a table that gave way is used for the next ones", async () => {
  const cache = tableCache(storageOf(64), TABLE, 3 * TABLE);
  const memory = new Set<ArrayBufferLike>();
  for (let index = 0; index < 32; index++) {
    await cache.look(index * TABLE, ({ bytes }) => memory.add(bytes.buffer));
    await cache.make((32 + index) * TABLE, ({ bytes }) => memory.add(bytes.buffer));
  }
  assert.ok(memory.size <= 5, `${memory.size}`);
});

Deno.test("a table made in memory that held another is all zero", async () => {
  const storage = storageOf(8);
  const cache = tableCache(storage, TABLE, 2 * TABLE);
  for (let index = 1; index < 6; index++) await cache.look(index * TABLE, () => {});
  await cache.make(7 * TABLE);
  await cache.flush();
  assert.deepEqual(storage.bytes().subarray(7 * TABLE), new Uint8Array(TABLE));
});

Deno.test("a table that a caller holds keeps its bytes after it is evicted", async () => {
  const cache = tableCache(storageOf(16), TABLE, 2 * TABLE);
  const taken = [await cache.get(0), await cache.get(0), await cache.get(TABLE)];
  const own = new Uint8Array(TABLE).fill(15);
  await cache.put(15 * TABLE, own);
  for (let index = 2; index < 14; index++) {
    await cache.look(index * TABLE, ({ bytes }) => assert.equal(bytes[7], index));
  }
  assert.equal(cache.peek(0, () => true), undefined);
  assert.deepEqual([...taken, own].map((bytes) => bytes[TABLE - 1]), [0, 0, 1, 15]);
});

Deno.test("a caller that waits for a table gets that one, and may change it, however many others are asked for", async () => {
  const storage = storageOf(16);
  const cache = tableCache(storage, TABLE, 2 * TABLE);
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 16 }, (_, index) =>
      cache.look(index * TABLE, ({ bytes }) => {
        assert.ok(bytes.subarray(1).every((byte) => byte === index));
        bytes[0] = index + round;
        cache.markDirty(index * TABLE);
      })));
  }
  await cache.flush();
  for (let index = 0; index < 16; index++) assert.equal(storage.bytes()[index * TABLE], index + 2);
});

Deno.test("an error in a look-up is thrown to its caller", async () => {
  const cache = tableCache(storageOf(4), TABLE, 2 * TABLE);
  const fail = () => {
    throw new Error("looked wrong");
  };
  const [failed, fine] = await Promise.allSettled([cache.look(0, fail), cache.look(0, ({ bytes }) => bytes[0])]);
  assert.match(String(failed.status === "rejected" && failed.reason), /looked wrong/);
  assert.deepEqual(fine, { status: "fulfilled", value: 0 });
  assert.throws(() => cache.look(0, fail), /looked wrong/);
});

Deno.test("a failed read is not remembered", async () => {
  const storage = new FaultyStorage(storageOf(8), ["read"], 1);
  const cache = tableCache(storage, TABLE, 4 * TABLE);
  await assert.rejects(cache.get(TABLE), /made to fail/);
  assert.equal((await cache.get(TABLE))[0], 1);
});

Deno.test("a failed write leaves the table dirty", async () => {
  const inner = storageOf(8);
  const cache = tableCache(new FaultyStorage(inner, ["write"], 1), TABLE, 4 * TABLE);
  (await cache.get(TABLE))[0] = 99;
  cache.markDirty(TABLE);
  await assert.rejects(cache.flush(), /made to fail/);
  await cache.flush();
  assert.equal(inner.bytes()[TABLE], 99);
});

Deno.test("dropped tables are not written; storage for reading takes no change", async () => {
  const inner = storageOf(8);
  const storage = new RecordingStorage(inner);
  const cache = tableCache(storage, TABLE, 4 * TABLE);
  await cache.put(TABLE, new Uint8Array(TABLE));
  cache.drop(TABLE);
  await cache.flush();
  assert.deepEqual(storage.of("write"), []);
  const { label, size } = inner;
  const readAt = inner.readAt.bind(inner);
  const readOnly = { label, size, readAt, [Symbol.asyncDispose]: () => Promise.resolve() };
  const reading = tableCache(readOnly, TABLE, 4 * TABLE);
  await reading.put(0, new Uint8Array(TABLE));
  await assert.rejects(reading.flush(), /was opened for reading/);
});

Deno.test("random changes through a tiny cache all reach storage", async () => {
  const random = rng(seed());
  const inner = storageOf(16);
  const storage = new RecordingStorage(inner);
  const cache = tableCache(storage, TABLE, 3 * TABLE);
  const model = inner.bytes().slice();
  const change = async (at: number, value: number) => {
    const fileOffset = at - at % TABLE;
    await cache.look(fileOffset, ({ bytes }) => {
      bytes[at % TABLE] = value;
      cache.markDirty(fileOffset);
    });
  };
  for (let round = 0; round < 300; round++) {
    const changes = Array.from({ length: random.int(1, 6) }, () => random.int(model.length));
    await Promise.all([...new Set(changes)].map((at) => {
      model[at] = random.int(256);
      return change(at, model[at]!);
    }));
    const at = random.int(model.length);
    assert.equal(await cache.look(at - at % TABLE, ({ bytes }) => bytes[at % TABLE]), model[at]);
  }
  await cache.flush();
  assert.deepEqual(inner.bytes(), model);
  const writes = storage.of("write").length;
  await cache.flush();
  assert.equal(storage.of("write").length, writes, "nothing is written twice");
});
