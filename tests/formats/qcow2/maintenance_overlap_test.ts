/**
 * Damaged images whose entries lead into their own tables: what changes them as a whole refuses them, and the tables stay.
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

/** Changes that take references from the damaged entry, or add some. */
const changes: { readonly [name: string]: (storage: MemoryStorage) => Promise<void> } = {
  emptying: (storage) => qcow2.maintenance!.empty!(storage, context),
  forgetting: (storage) => qcow2.maintenance!.forget!(storage, [{ start: 0, end: 16 * CLUSTER }], context),
  shrinking: (storage) => qcow2.maintenance!.resize!(storage, CLUSTER, "off", context),
  "loading a snapshot": (storage) => qcow2.maintenance!.snapshots!.apply(storage, { idOrName: "1" }, context),
  "a new snapshot": (storage) =>
    qcow2.maintenance!.snapshots!.create(storage, { name: "n", dateSeconds: 0, dateNanoseconds: 0 }, context),
};

/** The change is refused, and everything that was in the file is as it was. */
async function assertRefused({ bytes, places }: Sample, name: string, message: RegExp): Promise<void> {
  const storage = new MemoryStorage(bytes);
  await assert.rejects(changes[name]!(storage), (error) => {
    assert(error instanceof ImageError, `${name}: ${error}`);
    assert.equal(error.kind, "corrupt", name);
    assert.match(error.message, message, name);
    assert.match(error.message, /diskcast check -r all/);
    return true;
  }, name);
  for (const fileOffset of [0, ...Object.values(places).flat()]) {
    const at = (all: Uint8Array) => all.subarray(fileOffset, fileOffset + CLUSTER);
    assertBytes(at(storage.bytes()), at(bytes));
  }
}

for (const [name, target, holding] of targets) {
  Deno.test(`an L2 entry that points at ${name} is not taken for data by any change`, async () => {
    const { bytes, places } = await sample();
    setEntry(viewAll(bytes), places.l2[0] + GUEST * 8, target(places), true);
    for (const change of Object.keys(changes)) {
      const message = new RegExp(`cluster ${target(places) / CLUSTER}, which holds ${holding}, must hold data`);
      await assertRefused({ bytes, places }, change, message);
    }
  });

  Deno.test(`an L1 entry that points at ${name} is not taken for an L2 table by any change`, async () => {
    const { bytes, places } = await sample();
    // Two entries for one table, either way. That of a snapshot may be shared, but must be counted so.
    const index = name === "another L2 table" ? 0 : 1;
    setEntry(viewAll(bytes), places.l1 + index * 8, target(places), true);
    const shared = name === "an L2 table of a snapshot";
    const message = shared ? /a snapshot has its L2 table of L1 entry 1, too/ : /host cluster \d+ holds/;
    for (const change of Object.keys(changes)) await assertRefused({ bytes, places }, change, message);
  });
}

Deno.test("no change gives the header back to the host", async () => {
  const { bytes, places } = await sample();
  setCompressed(viewAll(bytes), places.l2[0] + GUEST * 8, 12, 512, 100);
  for (const change of Object.keys(changes)) {
    await assertRefused({ bytes, places }, change, /cluster 0, which holds the header, must hold data/);
  }
});

Deno.test("no change takes an entry for a refcount that is not there, or for a place between clusters", async () => {
  for (const [fileOffset, message] of [[1 << 20, /is 0, too low/], [CLUSTER * 3 + 512, /is no cluster/]] as const) {
    const { bytes, places } = await sample();
    setEntry(viewAll(bytes), places.l2[0] + GUEST * 8, fileOffset, true);
    for (const change of Object.keys(changes)) await assertRefused({ bytes, places }, change, message);
  }
});

Deno.test("no change writes into tables without a refcount", async () => {
  const { bytes, places } = await sample();
  for (const fileOffset of [places.l2[1], places.snapshotL1, places.snapshotL2, places.bitmapTable, places.bits]) {
    const damaged = bytes.slice();
    viewAll(damaged).setUint16(places.refcountBlock + fileOffset / CLUSTER * 2, 0);
    const storage = new MemoryStorage(damaged);
    for (const change of Object.values(changes)) await change(storage).catch(() => {});
    assertBytes(
      storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
      bytes.subarray(fileOffset, fileOffset + CLUSTER),
    );
  }
});

Deno.test("where leaks were references of a lost snapshot, what remains is marked as nobody else's", async () => {
  const { bytes } = await sample();
  // No snapshots any more, by the header alone.
  viewAll(bytes).setUint32(60, 0);
  viewAll(bytes).setBigUint64(64, 0n);
  const storage = new MemoryStorage(bytes);
  const before = await qcow2.maintenance!.check!(storage, context);
  assert(before.leaks > 0);
  await qcow2.maintenance!.repair!(storage, "leaks", context);
  const { corruptions, leaks, problems } = await qcow2.maintenance!.check!(storage, context);
  assert.deepEqual([corruptions, leaks], [0, 0], JSON.stringify(problems));
});
