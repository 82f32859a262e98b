/** Readers made from readers: each keeps the abilities of its source. */
import assert from "node:assert/strict";
import { patched } from "../../../core/open/patched.ts";
import { concatenate, forward, pad, slice } from "../../../core/open/readers.ts";
import {
  type CompressedCluster,
  compressedExtent,
  dataExtent,
  type Extent,
  type GuestReader,
  MemoryStorage,
  zeroExtent,
} from "../../../formats/mod.ts";
import { dataBytes, type FakeReader, fakeReader } from "../../support/copying.ts";

const content = dataBytes(4096);
const storage = new MemoryStorage(content);

/** 2048 located bytes, 1024 compressed ones, 1024 zeroes. */
const EXTENTS: readonly Extent[] = [
  dataExtent(0, 2048, { storage, offset: 100 }),
  compressedExtent(2048, 3072),
  zeroExtent(3072, 4096),
];

/** A reader that also lists what is read compressed. */
function source(): FakeReader & { readonly compressed: string[] } {
  const compressed: string[] = [];
  const readCompressed: GuestReader["readCompressed"] = (_room, start, end) => {
    compressed.push(`${start}-${end}`);
    return Promise.resolve([CLUSTER]);
  };
  return { ...fakeReader(content, EXTENTS, { clusterSize: 1024, readCompressed }), compressed };
}

const CLUSTER: CompressedCluster = { codec: "zlib", bytes: new Uint8Array(1), length: 1024 };
const ROOM = new Uint8Array(4096);

async function bytesOf(reader: GuestReader, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length).fill(0x3f);
  await reader.read(bytes, start);
  return bytes;
}

/** `bytes` with zeroes up to `length`. */
function zeroExtended(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes);
  return whole;
}

Deno.test("forward: every member is passed on but those that are changed", async () => {
  const inner = source();
  const reader = forward(inner, { size: 1000 });
  assert.deepEqual([reader.size, reader.clusterSize], [1000, 1024]);
  assert.deepEqual(await reader.extentAt(0, 512), dataExtent(0, 512, { storage, offset: 100 }));
  assert.deepEqual(await bytesOf(reader, 512, 512), content.subarray(512, 1024));
  assert.deepEqual(await reader.readCompressed!(ROOM, 2048, 3072), [CLUSTER]);
  assert.deepEqual([inner.lookups, inner.reads, inner.compressed], [["0-512"], ["512-1024"], ["2048-3072"]]);
  const plain = forward(fakeReader(content, EXTENTS), {});
  assert.equal(await plain.readCompressed!(ROOM, 2048, 3072), null);
  const changed = forward(inner, { extentAt: (start, limit) => zeroExtent(start, limit) });
  assert.deepEqual(await changed.extentAt(0, 512), zeroExtent(0, 512));
});

Deno.test("pad: behind the end there are zeroes, and nothing else changes", async () => {
  const inner = source();
  assert.equal(pad(inner, 4096), inner);
  assert.equal(pad(inner, 512), inner, "nothing is cut off");
  const reader = pad(inner, 5000);
  assert.deepEqual([reader.size, reader.clusterSize], [5000, 1024]);
  assert.deepEqual(await reader.extentAt(3072, 5000), zeroExtent(3072, 4096));
  assert.deepEqual(await reader.extentAt(4096, 5000), zeroExtent(4096, 5000));
  assert.deepEqual(inner.lookups, ["3072-4096"]);
  assert.deepEqual(await bytesOf(reader, 3584, 1024), zeroExtended(content.subarray(3584), 1024));
  assert.deepEqual(await bytesOf(reader, 4500, 500), new Uint8Array(500));
  assert.deepEqual(inner.reads, ["3584-4096"]);
  assert.deepEqual(await reader.readCompressed!(ROOM, 2048, 3072), [CLUSTER]);
  assert.equal(await reader.readCompressed!(ROOM, 3072, 5000), null);
  assert.equal(await pad(fakeReader(content, EXTENTS), 5000).readCompressed!(ROOM, 2048, 3072), null);
});

Deno.test("slice: a part has positions of its own; locations stay", async () => {
  const inner = source();
  const reader = slice(inner, 1024, 3584);
  assert.deepEqual([reader.size, reader.clusterSize], [2560, 1024]);
  assert.deepEqual(await reader.extentAt(0, 2560), dataExtent(0, 1024, { storage, offset: 100 + 1024 }));
  assert.deepEqual(await reader.extentAt(1024, 2560), compressedExtent(1024, 2048));
  assert.deepEqual(inner.lookups, ["1024-3584", "2048-3584"]);
  assert.deepEqual(await bytesOf(reader, 512, 512), content.subarray(1536, 2048));
  assert.deepEqual(await bytesOf(reader, 2048, 1024), zeroExtended(content.subarray(3072, 3584), 1024));
  assert.deepEqual(await bytesOf(reader, 3000, 8), new Uint8Array(8));
  assert.deepEqual(inner.reads, ["1536-2048", "3072-3584"]);
  assert.deepEqual(await reader.readCompressed!(ROOM, 1024, 2048), [CLUSTER]);
  assert.deepEqual(inner.compressed, ["2048-3072"]);
  assert.equal(await slice(fakeReader(content, EXTENTS), 0, 4096).readCompressed!(ROOM, 2048, 3072), null);
});

Deno.test("concatenate: each part has its positions; extents and compressed ranges stay inside one part", async () => {
  const [one, two] = [source(), fakeReader(content, EXTENTS)];
  assert.equal(concatenate([one]), one);
  const reader = concatenate([two, one]);
  assert.deepEqual([reader.size, reader.clusterSize], [8192, 1024]);
  assert.deepEqual(await reader.extentAt(4096, 8192), dataExtent(4096, 6144, { storage, offset: 100 }));
  assert.deepEqual(await reader.extentAt(3072, 8192), zeroExtent(3072, 4096));
  assert.deepEqual([two.lookups, one.lookups], [["3072-4096"], ["0-4096"]]);
  assert.deepEqual(
    await bytesOf(reader, 3584, 1024),
    new Uint8Array([...content.subarray(3584), ...content.subarray(0, 512)]),
  );
  assert.deepEqual(await bytesOf(reader, 8000, 512), zeroExtended(content.subarray(8000 - 4096), 512));
  assert.deepEqual(await reader.readCompressed!(ROOM, 6144, 7168), [CLUSTER]);
  assert.deepEqual(one.compressed, ["2048-3072"]);
  assert.equal(await reader.readCompressed!(ROOM, 2048, 3072), null, "this part cannot");
  assert.equal(await reader.readCompressed!(ROOM, 3072, 5120), null, "two parts");
});

Deno.test("concatenate: a part without bytes is never asked", async () => {
  const never = fakeReader(new Uint8Array(0), [], { extentAt: () => assert.fail(), read: () => assert.fail() });
  const reader = concatenate([never, source(), never]);
  assert.deepEqual(await reader.extentAt(0, 4096), dataExtent(0, 2048, { storage, offset: 100 }));
  assert.deepEqual(await bytesOf(reader, 0, 4096), content);
});

Deno.test("patched: located data ends at a patch, which only the reader itself can read", async () => {
  const inner = source();
  assert.equal(patched(inner, []), inner);
  const reader = patched(inner, [
    { start: 512, bytes: new Uint8Array(256).fill(0xaa) },
    { start: 2560, bytes: new Uint8Array(8).fill(0xbb) },
  ]);
  assert.deepEqual(await reader.extentAt(0, 4096), dataExtent(0, 512, { storage, offset: 100 }));
  assert.deepEqual(await reader.extentAt(512, 4096), dataExtent(512, 768));
  assert.deepEqual(await reader.extentAt(768, 4096), dataExtent(768, 2048, { storage, offset: 868 }));
  assert.equal(await reader.readCompressed!(ROOM, 2048, 3072), null);
  assert.deepEqual(await patched(inner, [{ start: 0, bytes: new Uint8Array(8) }]).readCompressed!(ROOM, 2048, 3072), [
    CLUSTER,
  ]);
  const expected = content.slice();
  expected.fill(0xaa, 512, 768).fill(0xbb, 2560, 2568);
  assert.deepEqual(await bytesOf(reader, 0, 4096), expected);
  assert.deepEqual(await bytesOf(reader, 700, 100), expected.subarray(700, 800));
});
