/**
 * Images with entries that point at metadata: operations on the whole image refuse them, and the metadata stays
 * unchanged.
 */
import assert from "node:assert/strict";
import { ImageError } from "../../../formats/errors.ts";
import type { ChangeContext } from "../../../formats/maintenance.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { setCompressed, setEntry } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { assertBytes } from "../../support/model.ts";
import { CLUSTER, GUEST, no, type Sample, sample, targets, viewAll } from "./tables_sample.ts";

const context: ChangeContext = { checkpoint: () => Promise.resolve(), openNamed: no, openBacking: no, createNamed: no };

/** Operations that release or add references of the damaged entry. */
const changes: { readonly [name: string]: (storage: MemoryStorage) => Promise<void> } = {
  emptying: (storage) => qcow2.maintenance!.empty!(storage, context),
  forgetting: (storage) => qcow2.maintenance!.deallocate!(storage, [{ start: 0, end: 16 * CLUSTER }], context),
  shrinking: (storage) => qcow2.maintenance!.resize!(storage, CLUSTER, "off", context),
  "loading a snapshot": (storage) => qcow2.maintenance!.snapshots!.apply(storage, { idOrName: "1" }, context),
  "a new snapshot": (storage) =>
    qcow2.maintenance!.snapshots!.create(storage, { name: "n", dateSeconds: 0, dateNanoseconds: 0 }, context),
};

/** Asserts that the operation is refused, and that all structures in the file are unchanged. */
async function assertRefused({ bytes, offsets }: Sample, name: string, message: RegExp): Promise<void> {
  const storage = new MemoryStorage(bytes);
  await assert.rejects(changes[name]!(storage), (error) => {
    assert(error instanceof ImageError, `${name}: ${error}`);
    assert.equal(error.kind, "corrupt", name);
    assert.match(error.message, message, name);
    assert.match(error.message, /diskcast check -r all/);
    return true;
  }, name);
  for (const fileOffset of [0, ...Object.values(offsets).flat()]) {
    const at = (all: Uint8Array) => all.subarray(fileOffset, fileOffset + CLUSTER);
    assertBytes(at(storage.bytes()), at(bytes));
  }
}

for (const [name, target, structure] of targets) {
  Deno.test(`an L2 entry that points at ${name} is not taken for data by any change`, async () => {
    const { bytes, offsets } = await sample();
    setEntry(viewAll(bytes), offsets.l2[0] + GUEST * 8, target(offsets), true);
    for (const change of Object.keys(changes)) {
      const message = new RegExp(`cluster ${target(offsets) / CLUSTER}, which holds ${structure}, must hold data`);
      await assertRefused({ bytes, offsets }, change, message);
    }
  });

  Deno.test(`an L1 entry that points at ${name} is not taken for an L2 table by any change`, async () => {
    const { bytes, offsets } = await sample();
    // Two entries point at one table in either case. That of a snapshot may be shared with a refcount of 2.
    const index = name === "another L2 table" ? 0 : 1;
    setEntry(viewAll(bytes), offsets.l1 + index * 8, target(offsets), true);
    const shared = name === "an L2 table of a snapshot";
    const message = shared ? /a snapshot has its L2 table of L1 entry 1, too/ : /host cluster \d+ holds/;
    for (const change of Object.keys(changes)) await assertRefused({ bytes, offsets }, change, message);
  });
}

Deno.test("no change deallocates the header", async () => {
  const { bytes, offsets } = await sample();
  setCompressed(viewAll(bytes), offsets.l2[0] + GUEST * 8, 12, 512, 100);
  for (const change of Object.keys(changes)) {
    await assertRefused({ bytes, offsets }, change, /cluster 0, which holds the header, must hold data/);
  }
});

Deno.test("no change takes an entry for a refcount that is not there, or for an offset between clusters", async () => {
  for (const [fileOffset, message] of [[1 << 20, /is 0, too low/], [CLUSTER * 3 + 512, /is no cluster/]] as const) {
    const { bytes, offsets } = await sample();
    setEntry(viewAll(bytes), offsets.l2[0] + GUEST * 8, fileOffset, true);
    for (const change of Object.keys(changes)) await assertRefused({ bytes, offsets }, change, message);
  }
});

Deno.test("no change writes into tables without a refcount", async () => {
  const { bytes, offsets } = await sample();
  for (const fileOffset of [offsets.l2[1], offsets.snapshotL1, offsets.snapshotL2, offsets.bitmapTable, offsets.bits]) {
    const damaged = bytes.slice();
    viewAll(damaged).setUint16(offsets.refcountBlock + fileOffset / CLUSTER * 2, 0);
    const storage = new MemoryStorage(damaged);
    for (const change of Object.values(changes)) await change(storage).catch(() => {});
    assertBytes(
      storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
      bytes.subarray(fileOffset, fileOffset + CLUSTER),
    );
  }
});

Deno.test("where leaks were references of a lost snapshot, the remaining clusters get their copied flag", async () => {
  const { bytes } = await sample();
  // Removes the snapshots from the header alone.
  viewAll(bytes).setUint32(60, 0);
  viewAll(bytes).setBigUint64(64, 0n);
  const storage = new MemoryStorage(bytes);
  const before = await qcow2.maintenance!.check!(storage, context);
  assert(before.leaks > 0);
  await qcow2.maintenance!.repair!(storage, "leaks", context);
  const { corruptions, leaks, problems } = await qcow2.maintenance!.check!(storage, context);
  assert.deepEqual([corruptions, leaks], [0, 0], JSON.stringify(problems));
});
