/** The requests by which the extents of a step are read. */
import assert from "node:assert/strict";
import { readStep } from "../../../core/copy/read_step.ts";
import { dataExtent, type Extent, ImageError, MemoryStorage, zeroExtent } from "../../../formats/mod.ts";
import { dataBytes, fakeReader } from "../../support/copying.ts";
import { RecordingStorage, WatchedStorage } from "../../support/storage.ts";

const SECTOR = 512;
const COUNT = 256;

/** Extents of one sector each; `fileSector` returns the sector of the file, null for zeroes. */
function sectors(storage: MemoryStorage | WatchedStorage, fileSector: (nth: number) => number | null): Extent[] {
  return Array.from({ length: COUNT }, (_, nth) => {
    const [at, sector] = [nth * SECTOR, fileSector(nth)];
    if (sector === null) return zeroExtent(at, at + SECTOR);
    return dataExtent(at, at + SECTOR, { storage, offset: sector * SECTOR });
  });
}

const source = fakeReader(new Uint8Array(0), [], { read: () => Promise.reject(new Error("all extents are located")) });
const content = dataBytes(2 * COUNT * SECTOR);

function expected(fileSector: (nth: number) => number | null): Uint8Array {
  const bytes = new Uint8Array(COUNT * SECTOR);
  for (let nth = 0; nth < COUNT; nth++) {
    const sector = fileSector(nth);
    if (sector !== null) bytes.set(content.subarray(sector * SECTOR, (sector + 1) * SECTOR), nth * SECTOR);
  }
  return bytes;
}

const layouts: [string, (nth: number) => number | null, number][] = [
  ["at their guest offsets, zeroes between", (nth) => nth % 2 === 0 ? nth : null, 1],
  ["zeroes between them in the guest, not in the file", (nth) => nth % 2 === 0 ? nth / 2 : null, 1],
  ["gaps between them in the file", (nth) => 2 * nth, 1],
  ["descending", (nth) => COUNT - 1 - nth, COUNT],
  ["two far pieces", (nth) => nth < COUNT / 2 ? nth : nth + COUNT / 2, 2],
];

for (const [name, fileSector, requests] of layouts) {
  Deno.test(`readStep: ${COUNT} small extents, ${name}: ${requests} requests`, async () => {
    const storage = new RecordingStorage(new MemoryStorage(content));
    const extents = sectors(storage, fileSector);
    const into = new Uint8Array(COUNT * SECTOR).fill(9);
    await readStep(source, { extents }, 0, into);
    assert.deepEqual(into, expected(fileSector));
    assert.equal(storage.of("read").length, requests);
    // A part that begins and ends inside an extent.
    const part = new Uint8Array(100 * SECTOR).fill(9);
    await readStep(source, { extents }, 10 * SECTOR + 100, part);
    assert.deepEqual(part, expected(fileSector).subarray(10 * SECTOR + 100, 110 * SECTOR + 100));
  });
}

Deno.test("readStep: where the file between small extents cannot be read, they are read one by one", async () => {
  let reads = 0;
  const storage = new WatchedStorage(new MemoryStorage(content), ({ op, start, end }) => {
    if (op === "read") reads++;
    if (start <= 3 * SECTOR && end > 3 * SECTOR) throw new ImageError("io", "sector 3 is bad");
  });
  const even = (nth: number) => nth % 2 === 0 ? nth : null;
  const into = new Uint8Array(COUNT * SECTOR);
  await readStep(source, { extents: sectors(storage, even) }, 0, into);
  assert.deepEqual(into, expected(even));
  assert.ok(reads < 10, `${reads} requests`);
  const odd = (nth: number) => nth % 2 === 1 ? nth : null;
  await assert.rejects(readStep(source, { extents: sectors(storage, odd) }, 0, into), /sector 3 is bad/);
});
