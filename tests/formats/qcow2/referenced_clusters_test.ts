/** A cluster to which a table refers is never allocated, whatever its refcount is and wherever the file ends. */
import assert from "node:assert/strict";
import type { ChangeContext } from "../../../formats/maintenance.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { readHeader } from "../../../formats/qcow2/header/header.ts";
import { setEntry } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { assertBytes } from "../../support/model.ts";
import { WatchedStorage } from "../../support/storage.ts";
import { standalone } from "./support.ts";
import { CLUSTER, context as editContext, GUEST, no, REACH, sample, viewAll } from "./tables_sample.ts";

const context: ChangeContext = { checkpoint: () => Promise.resolve(), openNamed: no, openBacking: no, createNamed: no };
const maintenance = qcow2.maintenance!;

/** The guest clusters of an image; null for one that cannot be read. */
async function clustersOf(storage: MemoryStorage): Promise<(Uint8Array | null)[]> {
  const disk = await openQcow2(storage, standalone);
  const clusters: (Uint8Array | null)[] = [];
  for (let at = 0; at < 2 * REACH; at += CLUSTER) {
    const bytes = new Uint8Array(CLUSTER);
    clusters.push(await Promise.resolve(disk.read(bytes, at)).then(() => bytes, () => null));
  }
  return clusters;
}

/** Asserts that every cluster that could be read before, if the image opened, is the same now. */
async function assertKept(storage: MemoryStorage, before: readonly (Uint8Array | null)[]): Promise<void> {
  if (before.length === 0) return;
  const after = await clustersOf(storage);
  for (const [index, cluster] of before.entries()) {
    if (cluster === null) continue;
    assert(after[index], `cluster ${index} cannot be read any more`);
    assertBytes(after[index], cluster);
  }
}

/** Changes that need a new cluster. */
const changes: { readonly [name: string]: (storage: MemoryStorage) => Promise<void> } = {
  growth: (storage) => maintenance.resize!(storage, 5 * REACH, "metadata", context),
  "a new bitmap": (storage) =>
    maintenance.bitmaps!.change(storage, "b", [{ action: "add", granularity: null, enabled: true }], context),
  "another version": (storage) => maintenance.amend!.run(storage, { refcount_bits: 32 }, context),
  "a new snapshot": (storage) =>
    maintenance.snapshots!.create(storage, { name: "n", dateSeconds: 0, dateNanoseconds: 0 }, context),
  "written data": async (storage) => {
    const writer = await editQcow2(storage, editContext);
    await writer.write(new Uint8Array(CLUSTER).fill(9), 2 * REACH);
    await writer.finish();
  },
};

for (const [name, change] of Object.entries(changes)) {
  Deno.test(`a data cluster with the refcount 0 is not overwritten: ${name}`, async () => {
    const { bytes, offsets } = await sample();
    const cluster = viewAll(bytes).getUint32(offsets.l2[0] + GUEST * 8 + 4) / CLUSTER;
    viewAll(bytes).setUint16(offsets.refcountBlock + cluster * 2, 0);
    const storage = new MemoryStorage(bytes.slice());
    const before = await clustersOf(storage);
    await change(storage).catch((error) => assert.equal(error.kind, "corrupt", error));
    await assertKept(storage, before);
  });
}

Deno.test("a cluster to which a damaged entry refers is not allocated", async () => {
  const { bytes, offsets } = await sample();
  let free = 0;
  while (viewAll(bytes).getUint16(offsets.refcountBlock + free * 2) !== 0) free++;
  setEntry(viewAll(bytes), offsets.l2[0] + GUEST * 8, free * CLUSTER, true);
  const storage = new MemoryStorage(bytes.slice());
  const before = await clustersOf(storage);
  await assert.rejects(changes["written data"]!(storage), { kind: "corrupt", message: /refcount is 0/ });
  await assertKept(storage, before);
});

Deno.test("an image that is cut off keeps its guest bytes when it is repaired", async () => {
  const { bytes } = await sample();
  for (let length = 14 * CLUSTER; length < bytes.length; length += 2 * CLUSTER + 100) {
    for (const scope of ["leaks", "all"] as const) {
      const storage = new MemoryStorage(bytes.slice(0, length));
      const before = await clustersOf(storage).catch(() => []);
      await maintenance.repair!(storage, scope, context).catch((error) => assert(error.kind, error));
      await assertKept(storage, before);
    }
  }
});

Deno.test("a cut-off image with wrong refcounts, too: new tables lie behind what its tables name", async () => {
  const { bytes, offsets } = await sample();
  viewAll(bytes).setUint16(offsets.refcountBlock, 0);
  const storage = new MemoryStorage(bytes.slice(0, bytes.length - 4 * CLUSTER));
  const before = await clustersOf(storage);
  await maintenance.repair!(storage, "all", context);
  await assertKept(storage, before);
  const { corruptions, leaks } = await maintenance.check!(storage, context);
  assert.deepEqual([corruptions, leaks], [0, 0]);
});

Deno.test("snapshots that share an L1 table are counted, and the table is read once", async () => {
  const { bytes } = await sample();
  const storage = new MemoryStorage(bytes);
  const header = await readHeader(storage);
  const entry = bytes.slice(header.snapshots.fileOffset, header.snapshots.fileOffset + header.clusterSize);
  const length = 40 + new DataView(entry.buffer).getUint32(36) + 1 + "first".length;
  const padded = Math.ceil(length / 8) * 8;
  const times = Math.floor(CLUSTER / padded);
  for (let nth = 1; nth < times; nth++) {
    bytes.set(entry.subarray(0, padded), header.snapshots.fileOffset + nth * padded);
  }
  viewAll(bytes).setUint32(60, times);
  let reads = 0;
  const l1 = new DataView(entry.buffer).getUint32(4);
  const watched = new WatchedStorage(new MemoryStorage(bytes), ({ op, start }) => {
    if (op === "read" && start === l1) reads++;
  });
  const { problems } = await maintenance.check!(watched, context);
  assert.equal(reads, 1);
  assert(problems.some(({ message }) => message.endsWith(`and ${times} references`)), JSON.stringify(problems));
});
