/**
 * Damaged images whose entries lead into their own tables: editing refuses them, and the tables stay as they are.
 */
import assert from "node:assert/strict";
import type { DiskWriter } from "../../../formats/contract.ts";
import { ImageError } from "../../../formats/errors.ts";
import { createQcow2 } from "../../../formats/qcow2/create.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { readHeader } from "../../../formats/qcow2/header/header.ts";
import { hostOffsetOf, setCompressed, setEntry } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { createSnapshot } from "../../../formats/qcow2/snapshots/write.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { assertBytes } from "../../support/model.ts";
import { rng, seed } from "../../support/qemu.ts";
import { alone, bytesOf } from "./support.ts";
import {
  CLUSTER,
  context,
  GUEST,
  no,
  type Places,
  REACH,
  type Sample,
  sample,
  targets,
  viewAll,
} from "./tables_sample.ts";

/** Changes of the guest that meet the damaged entry, each in its own way. */
const changes: [name: string, change: (writer: DiskWriter) => Promise<void>][] = [
  ["a sector is written", (writer) => writer.write(new Uint8Array(512).fill(9), GUEST * CLUSTER + 512)],
  ["a cluster is written", (writer) => writer.write(new Uint8Array(CLUSTER).fill(9), GUEST * CLUSTER)],
  ["a run is written", (writer) => writer.write(new Uint8Array(12 * CLUSTER).fill(9), CLUSTER)],
  ["a sector is zeroed", (writer) => writer.zero(GUEST * CLUSTER + 512, GUEST * CLUSTER + 1024)],
  ["a cluster is zeroed", (writer) => writer.zero(GUEST * CLUSTER, (GUEST + 1) * CLUSTER)],
  ["all is zeroed", (writer) => writer.zero(0, 4 * REACH)],
];

/** Every change of the damaged image is refused, and no table in the file changes. */
async function assertRefused({ bytes, places }: Sample, message: RegExp, compress = false): Promise<void> {
  for (const [name, change] of changes) {
    const storage = new MemoryStorage(bytes.slice());
    const attempt = async () => {
      await using writer = await editQcow2(storage, { ...context, compress });
      await change(writer);
      await writer.finish();
    };
    await assert.rejects(attempt(), (error) => {
      assert(error instanceof ImageError, `${name}: ${error}`);
      assert.equal(error.kind, "corrupt", name);
      assert.match(error.message, message, name);
      assert.match(error.message, /diskcast check -r all/);
      return true;
    }, name);
    const after = storage.bytes();
    for (const fileOffset of [0, ...Object.values(places).flat()]) {
      assertBytes(after.subarray(fileOffset, fileOffset + CLUSTER), bytes.subarray(fileOffset, fileOffset + CLUSTER));
    }
  }
}

/** The message for a target at file offset `fileOffset`; the guest offset may be that of any damaged cluster. */
function pointsAt(fileOffset: number, holding: string): RegExp {
  const cluster = fileOffset / CLUSTER;
  return new RegExp(`guest byte ${GUEST * CLUSTER} .* host cluster ${cluster}, which holds ${holding}, must`);
}

for (const [name, target, holding] of targets) {
  Deno.test(`an L2 entry that points at ${name} is refused when it is changed`, async () => {
    const { bytes, places } = await sample();
    setEntry(viewAll(bytes), places.l2[0] + GUEST * 8, target(places), true);
    await assertRefused({ bytes, places }, pointsAt(target(places), holding));
  });

  Deno.test(`a zeroed L2 entry whose place is ${name} is refused when it is written`, async () => {
    const { bytes, places } = await sample();
    setEntry(viewAll(bytes), places.l2[0] + GUEST * 8, target(places), true, true);
    const storage = new MemoryStorage(bytes.slice());
    const writer = await editQcow2(storage, context);
    await assert.rejects(writer.write(new Uint8Array(512).fill(9), GUEST * CLUSTER), { kind: "corrupt" });
    const fileOffset = target(places);
    assertBytes(
      storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
      bytes.subarray(fileOffset, fileOffset + CLUSTER),
    );
  });

  Deno.test(`a compressed entry in ${name} is not released`, async () => {
    const { bytes, places } = await sample();
    // It ends in the table, and begins in the cluster before, which may be another's and is counted so.
    setCompressed(viewAll(bytes), places.l2[0] + GUEST * 8, 12, target(places) - 512, 1024);
    viewAll(bytes).setUint16(places.refcountBlock + (target(places) / CLUSTER - 1) * 2, 2);
    // What is compressed there cannot be decompressed, so that changing a part of it fails with that.
    for (const compress of [false, true]) {
      for (const [nth, [, change]] of changes.entries()) {
        if (nth === 0 || nth === 3) continue;
        const storage = new MemoryStorage(bytes.slice());
        const writer = await editQcow2(storage, { ...context, compress });
        await assert.rejects(change(writer), { kind: "corrupt", message: /which holds .* must point at data/ });
        const fileOffset = target(places);
        assertBytes(
          storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
          bytes.subarray(fileOffset, fileOffset + CLUSTER),
        );
      }
    }
  });

  Deno.test(`an L1 entry that points at ${name} is refused`, async () => {
    const { bytes, places } = await sample();
    // Two entries for one table, either way. That of a snapshot may be shared, so it is found when it is changed.
    const index = name === "another L2 table" ? 0 : 1;
    setEntry(viewAll(bytes), places.l1 + index * 8, target(places), true);
    if (name !== "an L2 table of a snapshot") return await assertRefused({ bytes, places }, /host cluster/);
    const writer = await editQcow2(new MemoryStorage(bytes), context);
    await assert.rejects(writer.write(new Uint8Array(512), REACH), { kind: "corrupt", message: /a snapshot has it/ });
  });
}

Deno.test("a compressed entry in the header is not released", async () => {
  const { bytes, places } = await sample();
  // Host offset 0 means no place, so that only compressed data can lie in the header.
  setCompressed(viewAll(bytes), places.l2[0] + GUEST * 8, 12, 512, 100);
  const writer = await editQcow2(new MemoryStorage(bytes), context);
  await assert.rejects(writer.zero(0, REACH), { kind: "corrupt", message: /cluster 0, which holds the header/ });
});

const badL1: [name: string, high: number, low: number][] = [
  ["between clusters", 0x80000000, 512],
  ["past the end of the file", 0x80000100, 0],
  ["with reserved bits", 0x81000000, CLUSTER * 5],
];
for (const [name, high, low] of badL1) {
  Deno.test(`an L1 entry ${name} is refused`, async () => {
    const { bytes, places } = await sample();
    viewAll(bytes).setUint32(places.l1 + 16, high);
    viewAll(bytes).setUint32(places.l1 + 20, low);
    await assertRefused({ bytes, places }, /L1 entry 2/);
  });
}

const headerFields: [name: string, at: number, target: (places: Places) => number][] = [
  ["the L1 table is at the refcount table", 40, ({ refcountTable }) => refcountTable],
  ["the L1 table is at that of a snapshot", 40, ({ snapshotL1 }) => snapshotL1],
  ["the refcount table is at the L1 table", 48, ({ l1 }) => l1],
];
for (const [name, at, target] of headerFields) {
  Deno.test(`a header by which ${name} is refused`, async () => {
    const { bytes, places } = await sample();
    viewAll(bytes).setBigUint64(at, BigInt(target(places)));
    const opening = editQcow2(new MemoryStorage(bytes), context);
    await assert.rejects(opening, { kind: "corrupt" });
  });
}

Deno.test("two refcount table entries for one block are refused", async () => {
  const { bytes, places } = await sample();
  viewAll(bytes).setBigUint64(places.refcountTable + 8, BigInt(places.refcountBlock));
  await assertRefused({ bytes, places }, /a refcount block and a refcount block/);
});

Deno.test("bits of an enabled bitmap that lie in a table are refused", async () => {
  for (const [, target] of targets) {
    const { bytes, places } = await sample(true);
    viewAll(bytes).setBigUint64(places.bitmapTable, BigInt(target(places)));
    if (target(places) === places.bits || target(places) === places.snapshotL2) continue;
    await assertRefused({ bytes, places }, /bits of the bitmap "changes"/);
  }
});

const sharers: [name: string, share: (view: DataView, places: Places, host: number) => void][] = [
  ["of one table", (view, { l2 }, host) => setEntry(view, l2[0] + GUEST * 8, host, true)],
  ["of two tables", (view, { l2 }, host) => setEntry(view, l2[1] + GUEST * 8, host, true)],
  ["not marked", (view, { l2 }, host) => setEntry(view, l2[0] + GUEST * 8, host, false)],
  ["one of them zeroed", (view, { l2 }, host) => setEntry(view, l2[1] + GUEST * 8, host, true, true)],
  ["one of them compressed", (view, { l2 }, host) => setCompressed(view, l2[1] + GUEST * 8, 12, host - 512, 1024)],
];
for (const [name, share] of sharers) {
  Deno.test(`guest clusters that share a host cluster are refused where its refcount is 1: ${name}`, async () => {
    const { bytes, places } = await sample();
    const view = viewAll(bytes);
    const host = hostOffsetOf(view.getUint32(places.l2[0] + 16), view.getUint32(places.l2[0] + 20));
    share(view, places, host);
    // Compressed data begin in the cluster before, which has its own entry.
    view.setUint16(places.refcountBlock + (host / CLUSTER - 1) * 2, 2);
    const message = new RegExp(`2 guest clusters have host cluster ${host / CLUSTER}, but its refcount is 1`);
    await assertRefused({ bytes, places }, message);
    // Counted, they may: the first that is written takes another place.
    view.setUint16(places.refcountBlock + host / CLUSTER * 2, 2);
    const storage = new MemoryStorage(bytes.slice());
    const writer = await editQcow2(storage, context);
    await writer.write(new Uint8Array(CLUSTER).fill(9), 2 * CLUSTER);
    await writer.finish();
    assertBytes(storage.bytes().subarray(host, host + CLUSTER), bytes.subarray(host, host + CLUSTER));
  });
}

Deno.test("an L2 table that a snapshot has, too, is not changed in place whatever its refcount", async () => {
  const { bytes, places } = await sample();
  setEntry(viewAll(bytes), places.snapshotL1, places.l2[0], false);
  await assertRefused({ bytes, places }, /a snapshot has it, too/);
});

Deno.test("tables without a refcount are not given out as free clusters", async () => {
  const { bytes, places } = await sample();
  for (const fileOffset of [places.l2[1], places.snapshotL1, places.snapshotL2, places.bitmapTable, places.bits]) {
    const damaged = bytes.slice();
    viewAll(damaged).setUint16(places.refcountBlock + fileOffset / CLUSTER * 2, 0);
    const storage = new MemoryStorage(damaged);
    const writer = await editQcow2(storage, context);
    // More than all that is free, into new places.
    await assert.rejects(writer.write(new Uint8Array(REACH).fill(9), 2 * REACH), { kind: "corrupt" });
    assertBytes(
      storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
      bytes.subarray(fileOffset, fileOffset + CLUSTER),
    );
  }
});

Deno.test("a table without a refcount at the end of the file is not taken for free space", async () => {
  const { bytes, places } = await sample();
  const table = bytes.slice(places.l2[1], places.l2[1] + CLUSTER);
  const end = Math.ceil(bytes.length / CLUSTER) * CLUSTER;
  const longer = new Uint8Array(end + CLUSTER);
  longer.set(bytes);
  longer.set(table, end);
  setEntry(viewAll(longer), places.l1 + 8, end, true);
  const storage = new MemoryStorage(longer);
  const writer = await editQcow2(storage, context);
  await assert.rejects(writer.write(new Uint8Array(REACH).fill(9), 2 * REACH), { kind: "corrupt" });
  assertBytes(storage.bytes().subarray(end, end + CLUSTER), table);
});

Deno.test("an entry for a free cluster does not lead into the table that is made there", async () => {
  const { bytes, places } = await sample();
  const view = viewAll(bytes);
  let free = 0;
  while (view.getUint16(places.refcountBlock + free * 2) !== 0) free++;
  setEntry(view, places.l2[0] + GUEST * 8, free * CLUSTER, true);
  const writer = await editQcow2(new MemoryStorage(bytes), context);
  await writer.write(new Uint8Array(512).fill(9), 2 * REACH);
  const message = pointsAt(free * CLUSTER, "an L2 table");
  await assert.rejects(writer.write(new Uint8Array(512).fill(9), GUEST * CLUSTER), { kind: "corrupt", message });
});

Deno.test("what a refcount table leaves may hold data, and is written again", async () => {
  const random = rng(seed());
  const storage = new MemoryStorage();
  const size = 4 << 20;
  const plan = { size, options: { cluster_size: 512, refcount_bits: 64 }, backing: null, compress: false };
  const creator = await createQcow2(storage, plan, { createNamed: no, backing: null });
  await creator.write(random.bytes(size), 0);
  await creator.finish();
  // With a snapshot, all that is written takes new places: more than the table has entries for.
  const snapshot = { name: "first", dateSeconds: 0, dateNanoseconds: 0 };
  await createSnapshot(storage, snapshot, {
    checkpoint: () => Promise.resolve(),
    openNamed: no,
    openBacking: no,
    createNamed: no,
  });
  const before = (await readHeader(storage)).refcountTable;
  const model = new Uint8Array(size);
  const writer = await editQcow2(storage, context, { l2Bytes: 4096, refcountBytes: 64 << 10, pendingReleases: 16 });
  for (let round = 0; round < 2; round++) {
    for (let start = 0; start < size; start += 1 << 17) {
      const bytes = random.bytes(1 << 17);
      model.set(bytes, start);
      await writer.write(bytes, start);
    }
  }
  await writer.finish();
  const after = (await readHeader(storage)).refcountTable;
  assert.notEqual(after.fileOffset, before.fileOffset, "The test is for a table that has moved");
  assertBytes(await bytesOf(await openQcow2(storage, alone)), model);
});
