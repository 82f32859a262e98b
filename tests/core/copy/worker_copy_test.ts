/** The mover of the workers: what they are asked, and what is done where they cannot. */
import assert from "node:assert/strict";
import type { CopyJob } from "../../../core/copy/job.ts";
import type { Step } from "../../../core/copy/plan.ts";
import { workerCopyBy } from "../../../core/copy/worker_copy.ts";
import type { Copied, CopyRequest, DecompressIntoRequest, WorkerIo } from "../../../core/workers/worker_io.ts";
import {
  type CompressedCluster,
  compressedExtent,
  dataExtent,
  type Extent,
  MemoryStorage,
  type Origin,
  zeroExtent,
} from "../../../formats/mod.ts";
import {
  copyOf,
  dataBytes,
  fakeReader,
  jobOf,
  locatedWriter,
  type RecordingWriter,
  recordingWriter,
  stepOf,
} from "../../support/copying.ts";

const KIB = 1024;
const MIB = 1 << 20;

/** Storage that workers could open, and that lists what others have written. */
function openStorage(content: Uint8Array, path: string, start = 0) {
  const noted: string[] = [];
  const origin: Origin = { path, identity: { dev: 1, ino: path.length }, start, host: null };
  const noteWritten = (from: number, end: number) => void noted.push(`${from}-${end}`);
  return Object.assign(new MemoryStorage(content), { origin, noteWritten, noted });
}

/** Workers that list their requests and answer with `copied`; null: they refuse. */
function fakeWorkers(copied: Copied | null, accepts = true) {
  const offered: number[] = [];
  const copies: CopyRequest[] = [];
  const decompresses: DecompressIntoRequest[] = [];
  const io: WorkerIo = {
    width: 4,
    accepts: (length) => (offered.push(length), accepts),
    expect: () => {},
    copy: (request) => Promise.resolve((copies.push(request), copied)),
    decompressInto: (request) => Promise.resolve((decompresses.push(request), copied)),
    compare: () => Promise.resolve(null),
    hash: () => Promise.resolve(null),
    [Symbol.dispose]: () => {},
  };
  return { io, offered, copies, decompresses };
}

const NO_ZEROES: Copied = { zeroes: [], read: 1, decompress: 2, write: 3 };

/** Offers each part of a step to the mover, until it takes none. */
async function offer(
  workers: ReturnType<typeof fakeWorkers>,
  step: Step,
  writer: RecordingWriter,
  source = fakeReader(new Uint8Array(writer.traits.size), step.extents),
  changes: Partial<CopyJob> = {},
) {
  const copy = copyOf(jobOf(source, writer, { width: 4, ...changes }));
  const mover = workerCopyBy(workers.io)(copy);
  const ends: (number | null)[] = [];
  for (let at: number | null = step.start; at !== null && at < step.end;) ends.push(at = await mover(step, at));
  await copy.pipeline.drained();
  return { ends, settled: copy.settled };
}

Deno.test("workerCopyBy: located data is copied by 4 MiB, extents together, with the zero rule of the copy", async () => {
  const size = 6 * MIB;
  const storage = openStorage(dataBytes(size), "/source", 100);
  const extents = [
    dataExtent(MIB, 2 * MIB, { storage, offset: 0 }),
    dataExtent(2 * MIB, 5 * MIB, { storage, offset: 3 * MIB }),
  ];
  const target = openStorage(new Uint8Array(size), "/target");
  const workers = fakeWorkers(NO_ZEROES);
  const { ends, settled } = await offer(workers, stepOf(...extents), locatedWriter(target, { size }));
  assert.deepEqual(ends, [4 * MIB, 5 * MIB]);
  assert.deepEqual(workers.offered, [MIB, MIB], "until workers are there, 1 MiB is copied inline");
  const identity = { dev: 1, ino: 7 };
  assert.deepEqual(workers.copies[0], {
    from: [
      { path: "/source", identity, offset: 100, length: MIB },
      { path: "/source", identity, offset: 100 + 3 * MIB, length: 2 * MIB },
    ],
    to: { path: "/target", identity, offset: MIB },
    guestStart: MIB,
    rule: { grid: 4096, least: 4096 },
  });
  assert.deepEqual(target.noted, [`${MIB}-${4 * MIB}`, `${4 * MIB}-${5 * MIB}`]);
  assert.deepEqual(settled.map(({ start, end, zeroes }) => [start, end, zeroes]), [
    [MIB, 4 * MIB, 0],
    [4 * MIB, 5 * MIB, 0],
  ]);
});

Deno.test("workerCopyBy: zeroes that a worker has found are those of the target", async () => {
  const size = 64 * KIB;
  const storage = openStorage(dataBytes(size), "/source");
  const step = stepOf(dataExtent(0, size, { storage, offset: 0 }));
  const writer = locatedWriter(openStorage(new Uint8Array(size), "/target"), { size, startsZeroed: false });
  const zeroes = [{ zero: true, start: 4096, end: 8192 }, { zero: true, start: 16384, end: 65536 }];
  const { settled } = await offer(fakeWorkers({ ...NO_ZEROES, zeroes }), step, writer);
  assert.deepEqual(writer.calls, ["zero 4096-8192", "zero 16384-65536"]);
  assert.equal(settled[0].zeroes, 4096 + 49152);
});

Deno.test("workerCopyBy: what workers refuse is copied here, without another request", async () => {
  const size = 3 * MIB;
  const content = dataBytes(size).fill(0, MIB, MIB + 64 * KIB);
  const storage = openStorage(content, "/source");
  const target = openStorage(new Uint8Array(size), "/target");
  const step = stepOf(dataExtent(0, size, { storage, offset: 0 }));
  const { ends, settled } = await offer(fakeWorkers(null), step, locatedWriter(target, { size }));
  assert.deepEqual(ends, [size]);
  assert.equal(settled[0].zeroes, 64 * KIB);
  assert.deepEqual(target.bytes(), content);
  assert.deepEqual(target.noted, []);
});

Deno.test("workerCopyBy: compressed clusters are read here and decompressed by workers", async () => {
  const size = 2 * MIB;
  const step = stepOf(compressedExtent(0, size));
  const cluster: CompressedCluster = { codec: "zstd", bytes: new Uint8Array([1]), length: 512 * KIB };
  const ranges: string[] = [];
  const source = fakeReader(dataBytes(size), step.extents, {
    readCompressed(room, start, end) {
      assert.ok(room.length >= end - start);
      ranges.push(`${start}-${end}`);
      return Promise.resolve(start === 0 ? [cluster] : null);
    },
  });
  const target = openStorage(new Uint8Array(size), "/target");
  const workers = fakeWorkers(NO_ZEROES);
  const { ends } = await offer(workers, step, locatedWriter(target, { size }), source);
  assert.deepEqual(ends, [512 * KIB, MIB, 1536 * KIB, size]);
  assert.deepEqual(ranges.length, 4);
  assert.deepEqual(workers.decompresses.map(({ clusters, guestStart }) => [clusters, guestStart]), [[[cluster], 0]]);
  assert.deepEqual(target.bytes().subarray(512 * KIB), dataBytes(size).subarray(512 * KIB), "the rest was read here");
});

Deno.test("workerCopyBy: nothing is taken without fixed locations, files that workers can open, or workers", async () => {
  const size = 64 * KIB;
  const storage = openStorage(dataBytes(size), "/source");
  const step = stepOf(dataExtent(0, size, { storage, offset: 0 }));
  const target = () => openStorage(new Uint8Array(size), "/target");
  const anonymous = new MemoryStorage(dataBytes(size));
  const cases: [string, Step, RecordingWriter, boolean][] = [
    ["a target without fixed locations", step, recordingWriter({ size }), true],
    ["a target in memory", step, locatedWriter(new MemoryStorage(new Uint8Array(size)), { size }), true],
    ["workers that are not ready", step, locatedWriter(target(), { size }), false],
    [
      "compressed data that only the source decompresses",
      stepOf(compressedExtent(0, size)),
      locatedWriter(target(), { size }),
      true,
    ],
    [
      "a source in memory",
      stepOf(dataExtent(0, size, { storage: anonymous, offset: 0 })),
      locatedWriter(target(), { size }),
      true,
    ],
    ["data without a location", stepOf(dataExtent(0, size)), locatedWriter(target(), { size }), true],
    ["zeroes", stepOf(zeroExtent(0, size, { storage, offset: 0 })), locatedWriter(target(), { size }), true],
  ];
  for (const [name, offered, writer, accepts] of cases) {
    const workers = fakeWorkers(NO_ZEROES, accepts);
    assert.deepEqual((await offer(workers, offered, writer)).ends, [null], name);
    assert.deepEqual([...workers.copies, ...workers.decompresses], [], name);
  }
});

Deno.test("workerCopyBy: a request ends where the file is cut off, where the target is not in one piece, after 64 parts", async () => {
  const size = 128 * KIB;
  const short = openStorage(dataBytes(40 * KIB), "/source");
  const cut = stepOf(dataExtent(0, size, { storage: short, offset: 0 }));
  const target = openStorage(new Uint8Array(size), "/target");
  assert.deepEqual((await offer(fakeWorkers(NO_ZEROES), cut, locatedWriter(target, { size }))).ends, [40 * KIB, null]);

  const whole = openStorage(dataBytes(size), "/source");
  const pieces: RecordingWriter = {
    ...locatedWriter(target, { size }),
    locationFor: (start) => ({ storage: target, offset: start, end: start < 64 * KIB ? 64 * KIB : size }),
  };
  const step = stepOf(dataExtent(0, size, { storage: whole, offset: 0 }));
  assert.deepEqual((await offer(fakeWorkers(NO_ZEROES), step, pieces)).ends, [64 * KIB, size]);

  const scattered = Array.from({ length: 256 }, (_, at): Extent => {
    return dataExtent(at * 512, at * 512 + 512, { storage: whole, offset: size - at * 512 - 512 });
  });
  const workers = fakeWorkers(NO_ZEROES);
  assert.deepEqual((await offer(workers, stepOf(...scattered), locatedWriter(target, { size }))).ends, [
    32 * KIB,
    64 * KIB,
    96 * KIB,
    128 * KIB,
  ]);
  assert.ok(workers.copies.every(({ from }) => from.length === 64));
});
