import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { viewOf } from "../../../formats/bytes.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { readHeader } from "../../../formats/qcow2/header/header.ts";
import { readGuest } from "../../../formats/qcow2/clusters/read.ts";
import { decompressedClusters } from "../../../formats/qcow2/clusters/source.ts";
import { readPadded } from "../../../formats/qcow2/file_reads.ts";
import { geometryOf } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { extentAt, type Mapping } from "../../../formats/qcow2/mapping/mapping.ts";
import { createQcow2 } from "../../../formats/qcow2/create.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { tableCache } from "../../../formats/shared/table_cache.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { rng, seed } from "../../support/qemu.ts";
import { standalone } from "./support.ts";

const SIZE = 1 << 20;
const CLUSTER = 512;

/** Returns an image with 32 L2 tables and clusters scattered over all of them, and its guest bytes. */
async function scatteredImage(random: ReturnType<typeof rng>): Promise<{ storage: MemoryStorage; bytes: Uint8Array }> {
  const storage = new MemoryStorage(new Uint8Array(0), "a.qcow2");
  const plan = { size: SIZE, options: { cluster_size: CLUSTER }, backing: null, compress: false };
  const writer = await createQcow2(storage, plan, {
    ...inlineCodecs,
    createNamed: () => Promise.reject(new Error("none")),
    backing: null,
  });
  const bytes = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at += CLUSTER) {
    if (random.int(3) === 0) continue;
    bytes.set(random.bytes(CLUSTER), at);
    await writer.write(bytes.subarray(at, at + CLUSTER), at);
  }
  await writer.finish();
  return { storage, bytes };
}

Deno.test("concurrent reads and extents are right while their L2 tables evict each other", async () => {
  const random = rng(seed());
  const { storage, bytes } = await scatteredImage(random);
  const header = await readHeader(storage);
  const l1 = new Uint8Array(header.l1.entries * 8);
  await storage.readAt(l1, header.l1.fileOffset);
  const mapping: Mapping = {
    geometry: geometryOf(header),
    version: 3,
    externalData: false,
    label: storage.label,
    fileSize: storage.size,
    l1: viewOf(l1),
    tables: tableCache(storage, CLUSTER, 2 * CLUSTER),
    data: storage,
  };
  const decompressed = decompressedClusters(CLUSTER);
  const source = {
    mapping,
    storage,
    data: storage,
    readData: readPadded,
    compressionType: header.compressionType,
    decompressed,
    decompress: inlineCodecs.decompressor,
  };
  const disk = await openQcow2(storage, standalone);
  await Promise.all(Array.from({ length: 32 }, async () => {
    for (let round = 0; round < 10; round++) {
      const start = random.int(SIZE - 1);
      const into = new Uint8Array(random.int(1, Math.min(100_000, SIZE - start) + 1));
      await readGuest(source, into, start);
      assert.ok(Buffer.compare(into, bytes.subarray(start, start + into.length)) === 0, `${start}`);
      assert.deepEqual(await extentAt(mapping, start, SIZE), await disk.extentAt(start, SIZE));
    }
  }));
});

Deno.test("extents are returned without waiting unless a table must be read", async () => {
  const { storage } = await scatteredImage(rng(seed()));
  const disk = await openQcow2(storage, standalone);
  let waited = 0;
  for (let at = 0; at < SIZE;) {
    const extent = disk.extentAt(at, SIZE);
    if (extent instanceof Promise) waited++;
    at = (await extent).end;
  }
  assert.equal(waited, 32);
});
