/** The mover of this thread: from where it reads, and in which pieces. */
import assert from "node:assert/strict";
import { copyInline, inlineCopy } from "../../../core/copy/inline_copy.ts";
import type { Step } from "../../../core/copy/plan.ts";
import {
  compressedExtent,
  dataExtent,
  type Extent,
  holeExtent,
  MemoryStorage,
  zeroExtent,
} from "../../../formats/mod.ts";
import { copyOf, dataBytes, fakeReader, jobOf, recordingWriter, stepOf } from "../../support/copying.ts";
import { RecordingStorage } from "../../support/storage.ts";

const KIB = 1024;
const MIB = 1 << 20;

/** Storage of these bytes behind a header of 4 KiB. */
function storageOf(bytes: Uint8Array): RecordingStorage {
  const file = new Uint8Array(bytes.length + 4 * KIB);
  file.set(bytes, 4 * KIB);
  return new RecordingStorage(new MemoryStorage(file));
}

const reads = (storage: RecordingStorage) => storage.of("read").map(({ start, end }) => `${start}-${end}`);

/** Copies a whole step through the mover. */
async function copyStep(source: ReturnType<typeof fakeReader>, step: Step, changes = {}, traits = {}) {
  const writer = recordingWriter({ size: source.size, ...traits });
  const copy = copyOf(jobOf(source, writer, changes));
  const mover = inlineCopy(copy);
  const ends: number[] = [];
  for (let at = step.start; at < step.end; at = ends.at(-1)!) ends.push((await mover(step, at))!);
  await copy.pipeline.drained();
  return { writer, ends, settled: copy.settled };
}

Deno.test("inlineCopy: located extents are read from their storage, once each, the others through the source", async () => {
  const content = dataBytes(64 * KIB);
  const storage = storageOf(content);
  const extents: Extent[] = [
    dataExtent(0, 16 * KIB, { storage, offset: 4 * KIB }),
    dataExtent(16 * KIB, 24 * KIB),
    dataExtent(24 * KIB, 32 * KIB),
    dataExtent(32 * KIB, 64 * KIB, { storage, offset: 36 * KIB }),
  ];
  const source = fakeReader(content, extents);
  const { writer, settled } = await copyStep(source, stepOf(...extents));
  assert.deepEqual(writer.bytes, content);
  assert.deepEqual(reads(storage), ["4096-20480", "36864-69632"]);
  assert.deepEqual(source.reads, ["16384-32768"], "neighbours without a location are read at once");
  assert.deepEqual(source.lookups, [], "a step carries its extents: nothing is looked up again");
  assert.equal(settled.length, 1);
});

Deno.test("inlineCopy: plain pieces end at multiples of 1 MiB", async () => {
  const content = dataBytes(3 * MIB);
  const storage = storageOf(content);
  const extents = [dataExtent(512 * KIB, 3 * MIB - 512, { storage, offset: 4 * KIB + 512 * KIB })];
  const { ends, writer } = await copyStep(fakeReader(content, extents), stepOf(...extents));
  assert.deepEqual(ends, [MIB, 2 * MIB, 3 * MIB - 512]);
  assert.deepEqual(reads(storage).length, 3);
  assert.deepEqual(writer.calls, ["write 524288-1048576", "write 1048576-2097152", "write 2097152-3145216"]);
});

Deno.test("inlineCopy: compressed pieces are whole clusters of the source, and overlap", async () => {
  const content = dataBytes(6 * MIB);
  const step = stepOf(compressedExtent(0, 6 * MIB));
  let [now, most] = [0, 0];
  const source = fakeReader(content, step.extents, {
    clusterSize: 2 * MIB,
    async read(into, start) {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 2));
      into.set(content.subarray(start, start + into.length));
      now--;
    },
  });
  const { ends, writer } = await copyStep(source, step, { width: 4 });
  assert.deepEqual(ends, [2 * MIB, 4 * MIB, 6 * MIB]);
  assert.ok(most > 1, "clusters are decompressed together");
  assert.equal(writer.inFlight.most, 1, "and written one after another");
  assert.deepEqual(writer.bytes, content);
});

Deno.test("inlineCopy: a target that compresses takes overlapping writes; any other is written piece by piece", async () => {
  for (const compress of [true, false]) {
    const content = dataBytes(4 * MIB);
    const step = stepOf(dataExtent(0, 4 * MIB));
    const writer = recordingWriter(
      { size: content.length, compress, clusterSize: 64 * KIB },
      () => new Promise((resolve) => setTimeout(resolve, 2)),
    );
    const copy = copyOf(jobOf(fakeReader(content, step.extents), writer, { width: 4 }));
    for (let at = 0; at < step.end;) at = (await inlineCopy(copy)(step, at))!;
    await copy.pipeline.drained();
    assert.equal(writer.inFlight.most > 1, compress);
    assert.deepEqual(writer.bytes, content);
  }
});

Deno.test("inlineCopy: of a file that is cut off inside an extent, only the source reads what is missing", async () => {
  const content = dataBytes(16 * KIB).fill(0, 10 * KIB);
  const file = new MemoryStorage(content.slice(0, 10 * KIB));
  const storage = new RecordingStorage(file);
  const extents = [
    dataExtent(0, 8 * KIB, { storage, offset: 0 }),
    dataExtent(8 * KIB, 16 * KIB, {
      storage,
      offset: 8 * KIB,
    }),
  ];
  const source = fakeReader(content, extents);
  const { writer } = await copyStep(source, stepOf(...extents));
  assert.deepEqual(reads(storage), ["0-8192"]);
  assert.deepEqual(source.reads, ["8192-16384"]);
  assert.deepEqual(writer.bytes, content);
});

Deno.test("inlineCopy: zeroes in a step are not read, holes are read through the source", async () => {
  const content = dataBytes(16 * KIB);
  content.fill(0, 4 * KIB, 8 * KIB);
  content.fill(0xbb, 8 * KIB, 12 * KIB);
  const extents = [
    dataExtent(0, 4 * KIB),
    zeroExtent(4 * KIB, 8 * KIB),
    holeExtent(8 * KIB, 12 * KIB),
    dataExtent(12 * KIB, 16 * KIB),
  ];
  const source = fakeReader(content, extents);
  // A cluster of a target that compresses may hold several statuses; its buffer was used before.
  const { writer } = await copyStep(source, stepOf(...extents), {}, { compress: true, clusterSize: 16 * KIB });
  assert.deepEqual(source.reads, ["0-4096", "8192-16384"]);
  assert.deepEqual(writer.bytes, content);
});

Deno.test("inlineCopy: -S 0 writes stated zeroes without reading them", async () => {
  const extents = [zeroExtent(0, 8 * KIB)];
  const source = fakeReader(new Uint8Array(8 * KIB), extents);
  const policy = { keepsBacking: false, backingEnd: 0, writesZeroes: true };
  const { writer } = await copyStep(source, stepOf(...extents), { policy, sparseSize: 0 });
  assert.deepEqual(source.reads, []);
  assert.deepEqual(writer.calls, ["write 0-8192"]);
});

Deno.test("copyInline: copies a part of a step in pieces of one buffer, and counts zeroes", async () => {
  const content = dataBytes(3 * MIB).fill(0, MIB, MIB + 64 * KIB);
  const source = fakeReader(content, []);
  const writer = recordingWriter({ size: content.length });
  const copy = copyOf(jobOf(source, writer));
  const taken: number[] = [];
  const memory = (length: number) => (taken.push(length), new Uint8Array(length));
  const step = stepOf(dataExtent(0, 3 * MIB));
  assert.equal(await copyInline(copy, step, 512, 2 * MIB + 512, memory), 64 * KIB);
  assert.deepEqual(taken, [MIB]);
  assert.deepEqual(source.reads, ["512-1048576", "1048576-2097152", "2097152-2097664"]);
  assert.deepEqual(writer.bytes.subarray(512, 2 * MIB + 512), content.subarray(512, 2 * MIB + 512));
  assert.equal(await copyInline(copy, stepOf(compressedExtent(0, 4096)), 0, 4096, memory), 0);
  assert.deepEqual(taken, [MIB, 512 * KIB]);
});
