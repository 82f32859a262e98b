/** The loop of the copy: which way each step goes, what the target gets, and how it ends. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copy } from "../../../core/copy/copy.ts";
import { countAndCopy } from "../../../core/copy/count_and_copy.ts";
import { discardingWriter } from "../../../core/copy/discarding_writer.ts";
import type { ScanEvent } from "../../../core/events.ts";
import { hasherOf } from "../../../core/hasher.ts";
import { throttleOf } from "../../../core/throttle.ts";
import { codecPool } from "../../../core/workers/codec_pool.ts";
import { compressedExtent, dataExtent, type Extent, holeExtent, zeroExtent } from "../../../formats/mod.ts";
import { dataBytes, fakeMover, fakeReader, jobOf, recordingWriter, settledPieces } from "../../support/copying.ts";

const KIB = 1024;
const MIB = 1 << 20;

/** Data, stated zeroes, a hole, data; 16 KiB each. */
const FOUR: readonly Extent[] = [
  dataExtent(0, 16 * KIB),
  zeroExtent(16 * KIB, 32 * KIB),
  holeExtent(32 * KIB, 48 * KIB),
  dataExtent(48 * KIB, 64 * KIB),
];

/** The guest bytes of {@linkcode FOUR}; the hole shows the backing file. */
function fourBytes(): Uint8Array {
  const bytes = dataBytes(64 * KIB);
  bytes.fill(0, 16 * KIB, 32 * KIB);
  bytes.fill(0xbb, 32 * KIB, 48 * KIB);
  return bytes;
}

Deno.test("copy: data is read and written, zeroes of a new target are neither", async () => {
  const source = fakeReader(fourBytes(), FOUR);
  const writer = recordingWriter({ size: source.size });
  const totals = await copy(jobOf(source, writer));
  assert.deepEqual(source.reads, ["0-16384", "49152-65536"]);
  assert.deepEqual(writer.calls, ["write 0-16384", "write 49152-65536"]);
  assert.deepEqual(totals, { data: 32 * KIB, zero: 0, skip: 32 * KIB, zeroes: 0 });
});

Deno.test("copy: a used target gets zeroes, but not where its backing file shows", async () => {
  const source = fakeReader(fourBytes(), FOUR);
  const writer = recordingWriter({ size: source.size, startsZeroed: false });
  const policy = { keepsBacking: true, backingEnd: Infinity, writesZeroes: false };
  const job = jobOf(source, writer, { policy });
  assert.deepEqual(await settledPieces(job), [
    "copy data 0-16384",
    "zero zero 16384-32768",
    "skip hole 32768-49152",
    "copy data 49152-65536",
  ]);
  assert.deepEqual(writer.calls, ["write 0-16384", "zero 16384-32768", "write 49152-65536"]);
});

Deno.test("copy: zeroes inside data become zeroes of the target, and are counted", async () => {
  const content = dataBytes(16 * KIB).fill(0, 4 * KIB, 8 * KIB);
  for (const [startsZeroed, zeroed] of [[true, []], [false, ["zero 4096-8192"]]] as const) {
    const writer = recordingWriter({ size: content.length, startsZeroed });
    const totals = await copy(jobOf(fakeReader(content, [dataExtent(0, 16 * KIB)]), writer));
    assert.deepEqual(writer.calls, ["write 0-4096", ...zeroed, "write 8192-16384"]);
    assert.deepEqual(totals, { data: 16 * KIB, zero: 0, skip: 0, zeroes: 4 * KIB });
  }
});

Deno.test("copy: events tile the disk in order; pieces that are skipped do not begin; the last event is the load", async () => {
  const source = fakeReader(fourBytes(), FOUR);
  const job = jobOf(source, recordingWriter({ size: source.size }));
  await copy(job);
  const kept = job.events.filter(({ type }) => type !== "load");
  assert.deepEqual(
    kept.map((event) => event.type === "begin" || event.type === "extent" ? `${event.type} ${event.start}` : event),
    ["begin 0", "extent 0", "extent 16384", "extent 32768", "begin 49152", "extent 49152"],
  );
  assert.equal(job.events.at(-1)?.type, "load");
});

Deno.test("copy: an empty disk has one event, the load", async () => {
  const job = jobOf(fakeReader(new Uint8Array(0), []), recordingWriter({ size: 0 }));
  assert.deepEqual(await copy(job), { data: 0, zero: 0, skip: 0, zeroes: 0 });
  assert.deepEqual(job.events.map(({ type }) => type), ["load"]);
});

Deno.test("copy: written zeroes come in parts of 64 MiB", async () => {
  const size = 130 * MIB;
  const extents = [dataExtent(0, MIB), zeroExtent(MIB, size)];
  const content = { length: size, subarray: () => new Uint8Array(0) } as unknown as Uint8Array;
  const calls: string[] = [];
  const writer = {
    ...recordingWriter({ size: 0, startsZeroed: false }),
    zero: async (start: number, end: number) => {
      await Promise.resolve();
      calls.push(`${start / MIB}-${end / MIB}`);
    },
    write: () => Promise.resolve(),
  };
  const source = fakeReader(content, extents, { read: (into) => Promise.resolve(void into.fill(1)) });
  await copy(jobOf(source, writer, { traits: { ...writer.traits, size } }));
  assert.deepEqual(calls, ["1-64", "64-128", "128-130"]);
});

Deno.test("copy: the first mover that takes a part has it; what none takes is copied inline", async () => {
  const content = dataBytes(64 * KIB);
  const extents = [dataExtent(0, 64 * KIB)];
  const asked: string[] = [];
  const writer = recordingWriter({ size: content.length });
  const movers = [
    fakeMover("one", asked, (start) => start === 8 * KIB, 8 * KIB),
    fakeMover("two", asked, (start) => start < 16 * KIB, 8 * KIB),
  ];
  await copy(jobOf(fakeReader(content, extents), writer, { movers }));
  assert.deepEqual(asked, ["one 0-65536", "two 0-65536", "one 8192-65536", "one 16384-65536", "two 16384-65536"]);
  assert.deepEqual(writer.calls, ["write 0-8192", "write 8192-16384", "write 16384-65536"]);
  assert.deepEqual(writer.bytes, content);
});

Deno.test("copy: movers are asked for data alone", async () => {
  const asked: string[] = [];
  const source = fakeReader(fourBytes(), FOUR);
  const writer = recordingWriter({ size: source.size, startsZeroed: false });
  await copy(jobOf(source, writer, { movers: [fakeMover("one", asked, () => false)] }));
  assert.deepEqual(asked, ["one 0-16384", "one 49152-65536"]);
});

Deno.test("copy: the error of the first piece by guest order is thrown, though a later one fails before", async () => {
  const content = dataBytes(4 * MIB);
  const writer = recordingWriter({ size: content.length, compress: true, clusterSize: 64 * KIB }, async (start) => {
    if (start === MIB) throw new Error("the later piece");
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (start === 512 * KIB) throw new Error("the earlier piece");
  });
  const job = jobOf(fakeReader(content, [dataExtent(0, content.length)]), writer, { width: 8 });
  await assert.rejects(copy(job), { message: "the earlier piece" });
  assert.equal(writer.inFlight.now, 0);
  assert.ok(writer.inFlight.most > 1, "pieces were in flight together");
  const settled = job.events.filter(({ type }) => type === "extent");
  assert.equal(settled.length, 1, "no piece settles behind one that failed");
});

Deno.test("copy: a piece that fails after the walk has ended, or has failed, is the error", async () => {
  const content = dataBytes(2 * MIB);
  const fail = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    throw new Error("write");
  };
  const whole = fakeReader(content, [dataExtent(0, content.length)]);
  const torn = fakeReader(content, [], {
    extentAt(start) {
      if (start === MIB + 4096) return Promise.reject(new Error("walk"));
      return start === 0 ? dataExtent(0, MIB) : compressedExtent(start, MIB + 4096);
    },
  });
  for (const source of [whole, torn]) {
    const writer = recordingWriter({ size: content.length, compress: true, clusterSize: 4096 }, fail);
    await assert.rejects(copy(jobOf(source, writer, { width: 8 })), { message: "write" });
  }
  const writer = recordingWriter({ size: content.length, compress: true, clusterSize: 4096 });
  await assert.rejects(copy(jobOf(torn, writer, { width: 8 })), { message: "walk" });
  assert.equal(writer.inFlight.now, 0);
});

Deno.test("copy: the error of a mover is thrown", async () => {
  const source = fakeReader(dataBytes(4096), [dataExtent(0, 4096)]);
  const movers = [() => () => Promise.reject(new Error("mover"))];
  await assert.rejects(copy(jobOf(source, recordingWriter({ size: 4096 }), { movers })), { message: "mover" });
});

Deno.test("copy: a cancelled job leaves nothing in flight", async () => {
  const content = dataBytes(8 * MIB);
  const control = new AbortController();
  const writer = recordingWriter({ size: content.length, compress: true, clusterSize: 64 * KIB }, async (start) => {
    if (start === MIB) control.abort();
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  const throttle = throttleOf(control.signal, 0);
  const job = jobOf(fakeReader(content, [dataExtent(0, content.length)]), writer, { width: 4, throttle });
  await assert.rejects(copy(job), { kind: "cancelled" });
  assert.equal(writer.inFlight.now, 0);
  assert.ok(writer.calls.length < 8 * MIB / (64 * KIB), "it ended before the end of the disk");
});

Deno.test("copy: the throttle accounts for what is written, zeroes only where they cost as much", async () => {
  for (const [zeroes, expected] of [["cheap", 32 * KIB], ["written", 64 * KIB]] as const) {
    let accounted = 0;
    let checkpoints = 0;
    const throttle = {
      checkpoint: () => Promise.resolve(void checkpoints++),
      account: (bytes: number) => Promise.resolve(void (accounted += bytes)),
    };
    const source = fakeReader(fourBytes(), FOUR);
    await copy(jobOf(source, recordingWriter({ size: source.size, startsZeroed: false, zeroes }), { throttle }));
    assert.equal(accounted, expected);
    assert.ok(checkpoints >= 4, "one for each part of a step");
  }
});

Deno.test("copy: a hash takes every byte in order, those that stay in a backing file as well", async () => {
  const extents = [
    ...FOUR,
    compressedExtent(64 * KIB, 128 * KIB),
    zeroExtent(128 * KIB, 3 * MIB),
    holeExtent(3 * MIB, 6 * MIB),
  ];
  const content = new Uint8Array(6 * MIB);
  content.set(fourBytes());
  content.set(dataBytes(64 * KIB), 64 * KIB);
  content.fill(0xbb, 3 * MIB);
  for (const startsZeroed of [true, false]) {
    for (const compress of [true, false]) {
      const hash = hasherOf();
      const traits = { size: content.length, startsZeroed, compress, clusterSize: 4096 };
      const writer = recordingWriter(traits, () => new Promise((resolve) => setTimeout(resolve, 1)));
      const policy = { keepsBacking: true, backingEnd: Infinity, writesZeroes: false };
      await copy(jobOf(fakeReader(content, extents), writer, { hash, policy, width: 4 }));
      assert.equal(hash.hex(), createHash("sha256").update(content).digest("hex"));
    }
  }
});

Deno.test("countAndCopy: counts where events are wanted, copies, and reports its phases", async () => {
  const source = fakeReader(fourBytes(), FOUR);
  const writer = discardingWriter(source.size, false);
  const events: ScanEvent[] = [];
  using pool = codecPool(1);
  const { width: _, codecSeconds: __, onEvent: ___, events: ____, ...job } = jobOf(source, writer);
  const policy = { ...job.policy, keepsBacking: true, backingEnd: Infinity };
  const totals = await countAndCopy({ ...job, policy, pool, onEvent: (event) => events.push(event) });
  assert.deepEqual(totals, { data: 32 * KIB, zero: 16 * KIB, skip: 16 * KIB, zeroes: 0 });
  assert.deepEqual(events.filter(({ type }) => type === "phase" || type === "totals"), [
    { type: "phase", phase: "plan" },
    { type: "totals", totals: { data: 32 * KIB, zero: 16 * KIB, skip: 16 * KIB } },
    { type: "phase", phase: "copy" },
    { type: "phase", phase: "finish" },
  ]);
  const lookups = source.lookups.length;
  await countAndCopy({ ...job, policy, pool, onEvent: undefined });
  assert.equal(source.lookups.length - lookups, FOUR.length, "without events nothing is counted");
  await writer.finish();
});
