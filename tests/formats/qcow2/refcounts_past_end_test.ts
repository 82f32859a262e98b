/**
 * Images with refcounts for clusters past the end of their file, just after it or very far: new clusters lie at the end
 * of the file.
 */
import assert from "node:assert/strict";
import { setU64, u64, viewOf } from "../../../formats/bytes.ts";
import type { ChangeContext } from "../../../formats/maintenance.ts";
import { createQcow2 } from "../../../formats/qcow2/create.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { readHeader } from "../../../formats/qcow2/header/header.ts";
import { hostOffsetOf } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { readOnDiskRefcounts } from "../../../formats/qcow2/refcounts/on_disk_refcounts.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readerOf } from "../../support/model.ts";
import { hasQemu, scratch } from "../../support/qemu.ts";
import { standalone } from "./support.ts";
import { assertClean } from "./write_support.ts";

const openBacking = () => Promise.resolve(readerOf(new Uint8Array(0)));
const no = () => Promise.reject(new Error("The image names no file"));
const context: ChangeContext = {
  checkpoint: () => Promise.resolve(),
  openNamed: no,
  openBacking,
  createNamed: no,
};

const CLUSTER = 16384;
/** Clusters that one refcount block counts. */
const PER_BLOCK = CLUSTER / 2;

/** Returns a valid image with data in guest clusters 0 to 2, and the file offsets of its refcounts. */
async function validImage(): Promise<{ bytes: Uint8Array; table: number; block: number; l2: number }> {
  const storage = new MemoryStorage();
  const plan = { size: 40 << 20, options: { cluster_size: CLUSTER }, backing: null, compress: false };
  const writer = await createQcow2(storage, plan, { ...inlineCodecs, createNamed: no, backing: null });
  for (let nth = 0; nth < 3; nth++) await writer.write(new Uint8Array(CLUSTER).fill(0xd0 + nth), nth * CLUSTER);
  await writer.finish();
  const { refcountTable: { fileOffset: table }, l1 } = await readHeader(storage);
  const bytes = storage.bytes().slice();
  const view = viewOf(bytes);
  return {
    bytes,
    table,
    block: u64(view, table),
    l2: hostOffsetOf(view.getUint32(l1.fileOffset), view.getUint32(l1.fileOffset + 4)),
  };
}

const { bytes: VALID, table: TABLE, block: BLOCK, l2: L2 } = await validImage();
const END = VALID.length / CLUSTER;

/**
 * Returns an image with refcounts for `clusters`, which lie past the end of the file. Their refcount blocks lie at its
 * end.
 */
function withRefcountsPastEnd(clusters: readonly number[]): MemoryStorage {
  const indexes = [...new Set(clusters.map((cluster) => Math.floor(cluster / PER_BLOCK)))].filter((index) => index > 0);
  const bytes = new Uint8Array(VALID.length + indexes.length * CLUSTER);
  bytes.set(VALID);
  const view = viewOf(bytes);
  const blocks = new Map([[0, BLOCK]]);
  for (const [nth, index] of indexes.entries()) {
    blocks.set(index, VALID.length + nth * CLUSTER);
    setU64(view, TABLE + index * 8, VALID.length + nth * CLUSTER);
    view.setUint16(BLOCK + (END + nth) * 2, 1);
  }
  for (const cluster of clusters) {
    view.setUint16(blocks.get(Math.floor(cluster / PER_BLOCK))! + cluster % PER_BLOCK * 2, 1);
  }
  return new MemoryStorage(bytes);
}

const farClusters = [1000 * PER_BLOCK + 7, (CLUSTER / 8 - 1) * PER_BLOCK + 5];
const cases: { readonly name: string; readonly clusters: readonly number[] }[] = [
  { name: "next to the file's end", clusters: [END + 1, END + 4, END + 5] },
  { name: "far from the file's end", clusters: farClusters },
  { name: "both", clusters: [END + 3, END + 7, PER_BLOCK + 1, ...farClusters] },
];

const changes: { readonly name: string; readonly run: (storage: MemoryStorage) => Promise<unknown> }[] = [
  { name: "edit", run: write },
  { name: "edit, compressed", run: (storage) => write(storage, true) },
  { name: "resize", run: (storage) => qcow2.maintenance!.resize!(storage, 100 << 20, "off", context) },
  {
    name: "resize, preallocated",
    run: (storage) => qcow2.maintenance!.resize!(storage, 41 << 20, "metadata", context),
  },
  { name: "amend", run: (storage) => qcow2.maintenance!.amend!.run(storage, { refcount_bits: 32 }, context) },
  {
    name: "snapshot",
    run: (storage) =>
      qcow2.maintenance!.snapshots!.create(storage, { name: "n", dateSeconds: 0, dateNanoseconds: 0 }, context),
  },
];

/** Writes whole clusters where the image has no data yet. */
async function write(storage: MemoryStorage, compress = false): Promise<void> {
  const writer = await editQcow2(storage, { ...inlineCodecs, compress, openNamed: no, openBacking });
  for (let nth = 10; nth < 30; nth++) await writer.write(new Uint8Array(CLUSTER).fill(nth), nth * CLUSTER);
  await writer.finish();
}

for (const { name, clusters } of cases) {
  for (const change of changes) {
    Deno.test({
      name: `new clusters lie at the end of the file where refcounts exist ${name}: ${change.name}`,
      ignore: !hasQemu,
      async fn() {
        const storage = withRefcountsPastEnd(clusters);
        const size = storage.size;
        await change.run(storage);
        assert(storage.size > size);
        assert(storage.size < size + (2 << 20), `The file has grown from ${size} to ${storage.size} bytes`);
        const onDisk = await readOnDiskRefcounts(storage, await readHeader(storage));
        for (const cluster of clusters) assert.equal(await onDisk.get(cluster), 1, `cluster ${cluster} is left alone`);
        await using folder = await scratch();
        await Deno.writeFile(folder.file("image.qcow2"), storage.bytes());
        // Counted clusters between new ones become leaks, because the file grows over them.
        if (clusters[0]! > PER_BLOCK) await assertClean(folder.file("image.qcow2"));
        const { corruptions, checkErrors } = await qcow2.maintenance!.check!(storage, context);
        assert.deepEqual([corruptions, checkErrors], [0, 0]);
        await qcow2.maintenance!.repair!(storage, "leaks", context);
        await Deno.writeFile(folder.file("image.qcow2"), storage.bytes());
        await assertClean(folder.file("image.qcow2"));
        await assertContent(storage, change.name.startsWith("edit"));
      },
    });
  }
}

/** Asserts that the first data is unchanged, and that the data of {@linkcode write} is present. */
async function assertContent(storage: MemoryStorage, written: boolean): Promise<void> {
  const disk = await openQcow2(storage, standalone);
  const found = new Uint8Array(CLUSTER);
  const expected: [guest: number, byte: number][] = [[0, 0xd0], [1, 0xd1], [2, 0xd2]];
  for (let nth = 10; written && nth < 30; nth++) expected.push([nth, nth]);
  for (const [guest, byte] of expected) {
    await disk.read(found, guest * CLUSTER);
    assertBytes(found, new Uint8Array(CLUSTER).fill(byte));
  }
}

Deno.test("repair puts new clusters at the end of the file where refcounts exist far past it", async () => {
  for (const index of [1, 1000, CLUSTER / 8 - 1]) {
    const bytes = VALID.slice();
    // A second entry for the same block forces a rebuild of the refcounts; a wrong flag forces a new L2 table.
    setU64(viewOf(bytes), TABLE + index * 8, BLOCK);
    bytes[L2] = 0;
    const storage = new MemoryStorage(bytes);
    await qcow2.maintenance!.repair!(storage, "all", context);
    assert(storage.size < VALID.length + 8 * CLUSTER, `The file is ${storage.size} bytes long`);
    const { corruptions, leaks } = await qcow2.maintenance!.check!(storage, context);
    assert.deepEqual([corruptions, leaks], [0, 0]);
  }
});

Deno.test("a change refuses an image whose refcount table has a block twice", async () => {
  const bytes = VALID.slice();
  setU64(viewOf(bytes), TABLE + 8, BLOCK);
  const storage = new MemoryStorage(bytes);
  await assert.rejects(qcow2.maintenance!.resize!(storage, 100 << 20, "off", context), {
    kind: "corrupt",
    message: /holds a refcount block and a refcount block.*check -r all/,
  });
  assertBytes(storage.bytes(), bytes);
});
