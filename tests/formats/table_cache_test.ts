import assert from "node:assert/strict";
import { MemoryStorage } from "../../formats/storage/memory.ts";
import { tableCache } from "../../formats/table_cache.ts";
import { rng, seed } from "../support/qemu.ts";
import { FaultyStorage, RecordingStorage } from "../support/storage.ts";

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
  assert.equal(cache.peek(1 * TABLE), undefined);
  assert.notEqual(cache.peek(0), undefined);
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
    let table = await cache.get(fileOffset);
    // Another task may have pushed it out since.
    while ((table = cache.peek(fileOffset) ?? new Uint8Array(0)).length === 0) await cache.get(fileOffset);
    table[at % TABLE] = value;
    cache.markDirty(fileOffset);
  };
  for (let round = 0; round < 300; round++) {
    const changes = Array.from({ length: random.int(1, 6) }, () => random.int(model.length));
    await Promise.all([...new Set(changes)].map((at) => {
      model[at] = random.int(256);
      return change(at, model[at]!);
    }));
    const at = random.int(model.length);
    assert.equal((await cache.get(at - at % TABLE))[at % TABLE], model[at]);
  }
  await cache.flush();
  assert.deepEqual(inner.bytes(), model);
  const writes = storage.of("write").length;
  await cache.flush();
  assert.equal(storage.of("write").length, writes, "nothing is owed twice");
});
