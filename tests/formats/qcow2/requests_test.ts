import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { viewOf } from "../../../formats/bytes.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { encodeHeader, parseHeader } from "../../../formats/qcow2/header/header.ts";
import { setCompressed, setEntry } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { AT, CLUSTER, golden } from "./golden.ts";
import { standalone } from "./support.ts";

/** Returns the external golden image with its data inside: version 3, no snapshots, no bitmaps. */
function image(edit: (view: DataView, bytes: Uint8Array) => void): RecordingStorage {
  const bytes = golden("external");
  const header = parseHeader(bytes.subarray(0, CLUSTER), "a.qcow2", bytes.length);
  bytes.set(encodeHeader({ ...header, externalData: false, dataFileName: null }));
  bytes.fill(0, AT.l2, AT.l2 + CLUSTER);
  edit(viewOf(bytes), bytes);
  return new RecordingStorage(new MemoryStorage(bytes, "a.qcow2"));
}

/** Reads `[start, start + length)`. Returns the requests for that, and the bytes at the start of each cluster. */
async function requests(storage: RecordingStorage, start: number, length: number) {
  const disk = await openQcow2(storage, standalone);
  await disk.extentAt(start, disk.size); // the L2 table is here
  storage.operations.length = 0;
  const into = new Uint8Array(length).fill(0xee);
  await disk.read(into, start);
  return { reads: storage.of("read").map(({ start, end }) => [start, end]), into, disk };
}

Deno.test("neighbouring host clusters are read with one request", async () => {
  const storage = image((view) => {
    for (let index = 0; index < 4; index++) setEntry(view, AT.l2 + index * 8, (5 + index) * CLUSTER, true);
    setEntry(view, AT.l2 + 32, 11 * CLUSTER, true);
  });
  const { reads } = await requests(storage, 100, 5 * CLUSTER - 200);
  assert.deepEqual(reads, [
    [AT.data + 100, AT.data + 4 * CLUSTER],
    [11 * CLUSTER, 12 * CLUSTER - 100],
  ]);
});

Deno.test("host neighbours that are apart in the guest are not one request", async () => {
  const storage = image((view, bytes) => {
    bytes.fill(0xd1, AT.data, AT.data + CLUSTER);
    bytes.fill(0xd2, AT.moreData, AT.moreData + CLUSTER);
    setEntry(view, AT.l2, AT.data, true);
    setCompressed(view, AT.l2 + 8, 14, AT.compressed, 600);
    setEntry(view, AT.l2 + 16, AT.moreData, true);
  });
  const { into } = await requests(storage, 0, 3 * CLUSTER);
  assert.deepEqual([0, 1, 2].map((index) => into[index * CLUSTER + CLUSTER - 1]), [0xd1, 0xcc, 0xd2]);
});

Deno.test("a compressed cluster is read and decompressed once for many pieces", async () => {
  const storage = image((view, bytes) => {
    const cluster = new Uint8Array(CLUSTER).map((_, at) => at >> 6);
    const compressed = deflateRawSync(cluster);
    bytes.set(compressed, AT.compressed);
    setCompressed(view, AT.l2, 14, AT.compressed, compressed.length);
  });
  const { disk } = await requests(storage, 0, 64);
  storage.operations.length = 0;
  const piece = new Uint8Array(64);
  for (let at = 0; at < CLUSTER; at += 64) {
    await disk.read(piece, at);
    assert.ok(piece.every((byte) => byte === (at >> 6 & 255)));
  }
  assert.deepEqual(storage.of("read"), []);
});

Deno.test("concurrent reads do not disturb each other", async () => {
  const storage = image((view, bytes) => {
    for (let index = 0; index < 8; index++) {
      bytes.fill(0xa0 + index, (5 + index) * CLUSTER, (6 + index) * CLUSTER);
      setEntry(view, AT.l2 + (index * 5 % 8) * 8, (5 + index) * CLUSTER, true);
    }
  });
  const disk = await openQcow2(storage, standalone);
  await Promise.all(Array.from({ length: 64 }, async (_, round) => {
    const start = round * 2000;
    const into = new Uint8Array(Math.min(3000, 8 * CLUSTER - start));
    await disk.read(into, start);
    into.forEach((byte, at) => {
      const guest = Math.floor((start + at) / CLUSTER);
      assert.equal(byte * 5 % 8, (0xa0 * 5 + guest) % 8);
    });
  }));
});
