/** Zeroes found inside data, and what the target gets for them. */
import assert from "node:assert/strict";
import { copyTargetOf, writeFoundZeroes, zeroRuleFor } from "../../../core/copy/zero_detection.ts";
import type { WriterTraits } from "../../../formats/mod.ts";
import { dataBytes, fakeReader, jobOf, RAW, type RecordedJob, recordingWriter } from "../../support/copying.ts";

const KIB = 1024;
const none = fakeReader(new Uint8Array(0), []);

const rules: [string, Partial<WriterTraits>, number, ReturnType<typeof zeroRuleFor>][] = [
  ["blocks of -S, and as many bytes", {}, 4096, { grid: 4096, least: 4096 }],
  ["a grid is a power of two", {}, 3 * 4096, { grid: 8192, least: 3 * 4096 }],
  ["none with -S 0", {}, 0, null],
  ["whole clusters of a target that compresses", { compress: true, clusterSize: 65536 }, 4096, {
    grid: 65536,
    least: 65536,
  }],
  ["none where zeroes are written like data", { startsZeroed: false, zeroes: "written" }, 4096, null],
  ["zeroes that cost as much are left out of a new target", { zeroes: "written" }, 4096, { grid: 4096, least: 4096 }],
  ["cheap zeroes into a used target", { startsZeroed: false }, 4096, { grid: 4096, least: 4096 }],
];

for (const [name, traits, sparseSize, rule] of rules) {
  Deno.test(`zeroRuleFor: ${name}`, () => {
    assert.deepEqual(zeroRuleFor({ size: 0, ...RAW, ...traits }, sparseSize), rule);
  });
}

/** Data of 16 KiB with zeroes from 4 to 12 KiB, as guest bytes from 64 KiB on. */
const START = 64 * KIB;
const bytes = dataBytes(16 * KIB).fill(0, 4 * KIB, 12 * KIB);

function jobFor(traits: Partial<WriterTraits>, changes: Partial<RecordedJob> = {}) {
  const writer = recordingWriter({ size: 128 * KIB, ...traits });
  let accounted = 0;
  const throttle = {
    checkpoint: () => Promise.resolve(),
    account: (written: number) => Promise.resolve(void (accounted += written)),
  };
  return { job: jobOf(none, writer, { throttle, ...changes }), writer, accounted: () => accounted };
}

Deno.test("copyTargetOf: zeroes among the bytes are left out, or become zeroes", async () => {
  for (const [startsZeroed, zeroed] of [[true, []], [false, ["zero 69632-77824"]]] as const) {
    const { job, writer, accounted } = jobFor({ startsZeroed });
    assert.equal(await copyTargetOf(job).write(bytes, START), 8 * KIB);
    assert.deepEqual(writer.calls, ["write 65536-69632", ...zeroed, "write 77824-81920"]);
    assert.equal(accounted(), 8 * KIB);
  }
});

Deno.test("copyTargetOf: zeroes hide a backing file, but need not past its end", async () => {
  const policy = { keepsBacking: true, backingEnd: 72 * KIB, writesZeroes: false };
  const { job, writer } = jobFor({}, { policy });
  await copyTargetOf({ ...job, policy: { ...policy, backingEnd: 64 * KIB } }).write(bytes, START);
  assert.deepEqual(writer.calls.splice(0), ["write 65536-69632", "write 77824-81920"]);
  await copyTargetOf({ ...job, traits: { ...job.traits, startsZeroed: false } }).write(bytes, START);
  assert.deepEqual(writer.calls, ["write 65536-69632", "zero 69632-77824", "write 77824-81920"]);
});

Deno.test("copyTargetOf: without a rule everything is written in one call", async () => {
  for (
    const changes of [{ sparseSize: 0 }, {
      traits: { size: 128 * KIB, ...RAW, startsZeroed: false, zeroes: "written" },
    }]
  ) {
    const { job, writer, accounted } = jobFor({}, changes as Partial<RecordedJob>);
    assert.equal(await copyTargetOf(job).write(bytes, START), 0);
    assert.deepEqual(writer.calls, ["write 65536-81920"]);
    assert.equal(accounted(), 16 * KIB);
  }
});

Deno.test("copyTargetOf: a target that compresses gets all parts at once, in order; others one after another", async () => {
  for (const [compress, most] of [[true, 2], [false, 1]] as const) {
    const writer = recordingWriter({ size: 128 * KIB, compress, clusterSize: 4096 }, () => Promise.resolve());
    await copyTargetOf(jobOf(none, writer)).write(bytes, START);
    assert.deepEqual(writer.calls, ["write 65536-69632", "write 77824-81920"]);
    assert.equal(writer.inFlight.most, most);
  }
});

Deno.test("copyTargetOf: zeroes that the source states count for a rate limit where they cost as much as data", async () => {
  for (const [zeroes, expected] of [["cheap", 0], ["written", 4096]] as const) {
    const { job, writer, accounted } = jobFor({ zeroes });
    await copyTargetOf(job).zero(0, 4096);
    assert.deepEqual(writer.calls, ["zero 0-4096"]);
    assert.equal(accounted(), expected);
  }
});

Deno.test("writeFoundZeroes: with -S 0 they are written as well", async () => {
  const { job, writer } = jobFor({}, { policy: { keepsBacking: false, backingEnd: 0, writesZeroes: true } });
  await writeFoundZeroes({ start: 0, end: 4096 }, job);
  assert.deepEqual(writer.calls, ["zero 0-4096"]);
});
