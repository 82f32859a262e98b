import assert from "node:assert/strict";
import { FREE, newBlockTable, openBlockTable } from "../../../formats/shared/block_table.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { rng, seed } from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";

const PAGE_ENTRIES = 16_384;

for (const littleEndian of [true, false]) {
  Deno.test(`a table of more pages than are held keeps every change, ${littleEndian ? "little" : "big"}-endian`, async () => {
    const random = rng(seed());
    const entries = 300 * PAGE_ENTRIES + 5;
    const storage = new MemoryStorage(new Uint8Array(512 + entries * 4));
    const place = { fileOffset: 512, entries, littleEndian };
    const table = openBlockTable(storage, place);
    const model = new Map<number, number>();
    for (let count = 0; count < 3000; count++) {
      const index = random.int(entries);
      const value = random.int(2 ** 32);
      await table.set(index, value);
      model.set(index, value);
      const asked = random.int(entries);
      assert.equal((await table.load(asked)).entry(asked), model.get(asked) ?? 0);
    }
    await table.flush();
    const view = new DataView(storage.bytes().buffer);
    for (const [index, value] of model) assert.equal(view.getUint32(512 + index * 4, littleEndian), value);
    let sum = 0;
    for (let index = 0; index < entries; index++) sum += view.getUint32(512 + index * 4, littleEndian) === 0 ? 0 : 1;
    assert(sum <= model.size, "nothing else was changed");
  });
}

Deno.test("a new table is written once, padded, and is never read", async () => {
  const storage = new RecordingStorage(new MemoryStorage());
  const entries = 2 * PAGE_ENTRIES + 3;
  const table = newBlockTable(storage, { fileOffset: 1536, entries, littleEndian: false }, 2 * 65_536 + 512);
  assert.equal((await table.load(7)).entry(7), FREE);
  await table.set(PAGE_ENTRIES, 5);
  await table.set(entries - 1, 6);
  assert.equal((await table.load(entries - 1)).entry(entries - 1), 6);
  assert.equal((await table.load(entries - 1)).end, entries);
  assert.deepEqual(storage.operations, []);
  await table.flush();
  assert.deepEqual(storage.operations.map(({ op, start, end }) => `${op} ${start} ${end - start}`), [
    "write 1536 65536",
    "write 67072 65536",
    "write 132608 512",
  ]);
});

Deno.test("a table that ends past the file is refused before anything is read", () => {
  const storage = new MemoryStorage(new Uint8Array(1000));
  assert.throws(() => openBlockTable(storage, { fileOffset: 0, entries: 251, littleEndian: true }), {
    kind: "corrupt",
  });
});
