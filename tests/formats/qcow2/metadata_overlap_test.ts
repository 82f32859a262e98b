/** Images with entries that point at metadata: editing refuses them, and the metadata stays unchanged. */
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
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes } from "../../support/model.ts";
import { rng, seed } from "../../support/qemu.ts";
import { bytesOf, standalone } from "./support.ts";
import {
  CLUSTER,
  context,
  GUEST,
  no,
  REACH,
  type Sample,
  sample,
  type TableOffsets,
  targets,
  viewAll,
} from "./tables_sample.ts";

/** Writes that reach the damaged entry in different ways. */
const changes: [name: string, change: (writer: DiskWriter) => Promise<void>][] = [
  ["a sector is written", (writer) => writer.write(new Uint8Array(512).fill(9), GUEST * CLUSTER + 512)],
  ["a cluster is written", (writer) => writer.write(new Uint8Array(CLUSTER).fill(9), GUEST * CLUSTER)],
  ["several clusters are written", (writer) => writer.write(new Uint8Array(12 * CLUSTER).fill(9), CLUSTER)],
  ["a sector is zeroed", (writer) => writer.zero(GUEST * CLUSTER + 512, GUEST * CLUSTER + 1024)],
  ["a cluster is zeroed", (writer) => writer.zero(GUEST * CLUSTER, (GUEST + 1) * CLUSTER)],
  ["all is zeroed", (writer) => writer.zero(0, 4 * REACH)],
];

/** Asserts that every write is refused, and that no table in the file changes. */
async function assertRefused({ bytes, offsets }: Sample, message: RegExp, compress = false): Promise<void> {
  for (const [name, change] of changes) {
    const storage = new MemoryStorage(bytes.slice());
    const attempt = async () => {
      const writer = await editQcow2(storage, { ...inlineCodecs, ...context, compress });
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
    for (const fileOffset of [0, ...Object.values(offsets).flat()]) {
      assertBytes(after.subarray(fileOffset, fileOffset + CLUSTER), bytes.subarray(fileOffset, fileOffset + CLUSTER));
    }
  }
}

/** Returns the message for an entry that points at `fileOffset`. */
function pointsAt(fileOffset: number, structure: string): RegExp {
  const cluster = fileOffset / CLUSTER;
  return new RegExp(`guest byte ${GUEST * CLUSTER} .* host cluster ${cluster}, which holds ${structure}, must`);
}

for (const [name, target, structure] of targets) {
  Deno.test(`an L2 entry that points at ${name} is refused when it is changed`, async () => {
    const { bytes, offsets } = await sample();
    setEntry(viewAll(bytes), offsets.l2[0] + GUEST * 8, target(offsets), true);
    await assertRefused({ bytes, offsets }, pointsAt(target(offsets), structure));
  });

  Deno.test(`a zeroed L2 entry whose host cluster is ${name} is refused when it is written`, async () => {
    const { bytes, offsets } = await sample();
    setEntry(viewAll(bytes), offsets.l2[0] + GUEST * 8, target(offsets), true, true);
    const storage = new MemoryStorage(bytes.slice());
    const writer = await editQcow2(storage, context);
    await assert.rejects(writer.write(new Uint8Array(512).fill(9), GUEST * CLUSTER), { kind: "corrupt" });
    const fileOffset = target(offsets);
    assertBytes(
      storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
      bytes.subarray(fileOffset, fileOffset + CLUSTER),
    );
  });

  Deno.test(`a compressed entry in ${name} is not released`, async () => {
    const { bytes, offsets } = await sample();
    // The data ends in the table, and begins in the cluster before, whose refcount allows a second reference.
    setCompressed(viewAll(bytes), offsets.l2[0] + GUEST * 8, 12, target(offsets) - 512, 1024);
    viewAll(bytes).setUint16(offsets.refcountBlock + (target(offsets) / CLUSTER - 1) * 2, 2);
    // The data cannot be decompressed, so a write of a part of the cluster fails for that reason.
    for (const compress of [false, true]) {
      for (const [nth, [, change]] of changes.entries()) {
        if (nth === 0 || nth === 3) continue;
        const storage = new MemoryStorage(bytes.slice());
        const writer = await editQcow2(storage, { ...inlineCodecs, ...context, compress });
        await assert.rejects(change(writer), { kind: "corrupt", message: /which holds .* must point at data/ });
        const fileOffset = target(offsets);
        assertBytes(
          storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
          bytes.subarray(fileOffset, fileOffset + CLUSTER),
        );
      }
    }
  });

  Deno.test(`an L1 entry that points at ${name} is refused`, async () => {
    const { bytes, offsets } = await sample();
    // Two entries point at one table in either case. That of a snapshot may be shared, so only a change of it is
    // refused.
    const index = name === "another L2 table" ? 0 : 1;
    setEntry(viewAll(bytes), offsets.l1 + index * 8, target(offsets), true);
    if (name !== "an L2 table of a snapshot") return await assertRefused({ bytes, offsets }, /host cluster/);
    const writer = await editQcow2(new MemoryStorage(bytes), context);
    await assert.rejects(writer.write(new Uint8Array(512), REACH), { kind: "corrupt", message: /a snapshot has it/ });
  });
}

Deno.test("a compressed entry in the header is not released", async () => {
  const { bytes, offsets } = await sample();
  // Host offset 0 means unallocated, so only compressed data can point at the header.
  setCompressed(viewAll(bytes), offsets.l2[0] + GUEST * 8, 12, 512, 100);
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
    const { bytes, offsets } = await sample();
    viewAll(bytes).setUint32(offsets.l1 + 16, high);
    viewAll(bytes).setUint32(offsets.l1 + 20, low);
    await assertRefused({ bytes, offsets }, /L1 entry 2/);
  });
}

const headerFields: [name: string, at: number, target: (offsets: TableOffsets) => number][] = [
  ["the L1 table is at the refcount table", 40, ({ refcountTable }) => refcountTable],
  ["the L1 table is at that of a snapshot", 40, ({ snapshotL1 }) => snapshotL1],
  ["the refcount table is at the L1 table", 48, ({ l1 }) => l1],
];
for (const [name, at, target] of headerFields) {
  Deno.test(`a header by which ${name} is refused`, async () => {
    const { bytes, offsets } = await sample();
    viewAll(bytes).setBigUint64(at, BigInt(target(offsets)));
    const opening = editQcow2(new MemoryStorage(bytes), context);
    await assert.rejects(opening, { kind: "corrupt" });
  });
}

Deno.test("two refcount table entries for one block are refused", async () => {
  const { bytes, offsets } = await sample();
  viewAll(bytes).setBigUint64(offsets.refcountTable + 8, BigInt(offsets.refcountBlock));
  await assertRefused({ bytes, offsets }, /a refcount block and a refcount block/);
});

Deno.test("bits of an enabled bitmap that lie in a table are refused", async () => {
  for (const [, target] of targets) {
    const { bytes, offsets } = await sample(true);
    viewAll(bytes).setBigUint64(offsets.bitmapTable, BigInt(target(offsets)));
    if (target(offsets) === offsets.bits || target(offsets) === offsets.snapshotL2) continue;
    await assertRefused({ bytes, offsets }, /bits of the bitmap "changes"/);
  }
});

const sharers: [name: string, share: (view: DataView, offsets: TableOffsets, host: number) => void][] = [
  ["of one table", (view, { l2 }, host) => setEntry(view, l2[0] + GUEST * 8, host, true)],
  ["of two tables", (view, { l2 }, host) => setEntry(view, l2[1] + GUEST * 8, host, true)],
  ["not marked", (view, { l2 }, host) => setEntry(view, l2[0] + GUEST * 8, host, false)],
  ["one of them zeroed", (view, { l2 }, host) => setEntry(view, l2[1] + GUEST * 8, host, true, true)],
  ["one of them compressed", (view, { l2 }, host) => setCompressed(view, l2[1] + GUEST * 8, 12, host - 512, 1024)],
];
for (const [name, share] of sharers) {
  Deno.test(`guest clusters that share a host cluster are refused where its refcount is 1: ${name}`, async () => {
    const { bytes, offsets } = await sample();
    const view = viewAll(bytes);
    const host = hostOffsetOf(view.getUint32(offsets.l2[0] + 16), view.getUint32(offsets.l2[0] + 20));
    share(view, offsets, host);
    // The compressed data begins in the cluster before, which has an entry of its own.
    view.setUint16(offsets.refcountBlock + (host / CLUSTER - 1) * 2, 2);
    const message = new RegExp(`2 guest clusters have host cluster ${host / CLUSTER}, but its refcount is 1`);
    await assertRefused({ bytes, offsets }, message);
    // With a refcount of 2 they may share it: the first write goes to a new cluster.
    view.setUint16(offsets.refcountBlock + host / CLUSTER * 2, 2);
    const storage = new MemoryStorage(bytes.slice());
    const writer = await editQcow2(storage, context);
    await writer.write(new Uint8Array(CLUSTER).fill(9), 2 * CLUSTER);
    await writer.finish();
    assertBytes(storage.bytes().subarray(host, host + CLUSTER), bytes.subarray(host, host + CLUSTER));
  });
}

Deno.test("an L2 table that a snapshot shares is not changed in place whatever its refcount", async () => {
  const { bytes, offsets } = await sample();
  setEntry(viewAll(bytes), offsets.snapshotL1, offsets.l2[0], false);
  await assertRefused({ bytes, offsets }, /a snapshot has it, too/);
});

Deno.test("tables without a refcount are not allocated as free clusters", async () => {
  const { bytes, offsets } = await sample();
  for (const fileOffset of [offsets.l2[1], offsets.snapshotL1, offsets.snapshotL2, offsets.bitmapTable, offsets.bits]) {
    const damaged = bytes.slice();
    viewAll(damaged).setUint16(offsets.refcountBlock + fileOffset / CLUSTER * 2, 0);
    const storage = new MemoryStorage(damaged);
    const writer = await editQcow2(storage, context);
    // Needs more clusters than are free, so new ones are allocated.
    await assert.rejects(writer.write(new Uint8Array(REACH).fill(9), 2 * REACH), { kind: "corrupt" });
    assertBytes(
      storage.bytes().subarray(fileOffset, fileOffset + CLUSTER),
      bytes.subarray(fileOffset, fileOffset + CLUSTER),
    );
  }
});

Deno.test("a table without a refcount at the end of the file is not taken for free space", async () => {
  const { bytes, offsets } = await sample();
  const table = bytes.slice(offsets.l2[1], offsets.l2[1] + CLUSTER);
  const end = Math.ceil(bytes.length / CLUSTER) * CLUSTER;
  const longer = new Uint8Array(end + CLUSTER);
  longer.set(bytes);
  longer.set(table, end);
  setEntry(viewAll(longer), offsets.l1 + 8, end, true);
  const storage = new MemoryStorage(longer);
  const writer = await editQcow2(storage, context);
  await assert.rejects(writer.write(new Uint8Array(REACH).fill(9), 2 * REACH), { kind: "corrupt" });
  assertBytes(storage.bytes().subarray(end, end + CLUSTER), table);
});

Deno.test("former clusters of the refcount table may hold data, and be overwritten", async () => {
  const random = rng(seed());
  const storage = new MemoryStorage();
  const size = 4 << 20;
  const plan = { size, options: { cluster_size: 512, refcount_bits: 64 }, backing: null, compress: false };
  const creator = await createQcow2(storage, plan, { ...inlineCodecs, createNamed: no, backing: null });
  await creator.write(random.bytes(size), 0);
  await creator.finish();
  // With a snapshot, all writes go to new clusters: more than the refcount table has entries for.
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
  assertBytes(await bytesOf(await openQcow2(storage, standalone)), model);
});
