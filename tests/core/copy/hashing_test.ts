/** The digest of a copy. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { hashingTarget, hashSkipped } from "../../../core/copy/hashing.ts";
import { hasherOf } from "../../../core/hasher.ts";
import { holeExtent, zeroExtent } from "../../../formats/mod.ts";
import { copyOf, dataBytes, fakeReader, jobOf, recordingWriter, stepOf } from "../../support/copying.ts";

const MIB = 1 << 20;

/** A hasher that lists what it takes. */
function recordingHasher() {
  const taken: string[] = [];
  return {
    taken,
    data: (bytes: Uint8Array) => void taken.push(`data ${bytes.length} of ${bytes[0]}`),
    zeroes: (length: number) => void taken.push(`zeroes ${length}`),
    hex: () => "",
  };
}

Deno.test("hashingTarget: hashes in the order of the calls, and passes them on", async () => {
  const hash = recordingHasher();
  const calls: string[] = [];
  const target = hashingTarget({
    async write(bytes, start) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      calls.push(`write ${start}-${start + bytes.length}`);
      return 3;
    },
    zero: (start, end) => Promise.resolve(void calls.push(`zero ${start}-${end}`)),
  }, hash);
  const first = target.write(dataBytes(512), 0);
  await target.zero(512, 2048);
  assert.equal(await first, 3);
  assert.deepEqual(hash.taken, ["data 512 of 1", "zeroes 1536"]);
  assert.deepEqual(calls, ["zero 512-2048", "write 0-512"]);
});

Deno.test("hashSkipped: a hole is read in pieces, stated zeroes are not read", async () => {
  const hash = recordingHasher();
  const source = fakeReader(dataBytes(3 * MIB), []);
  const copy = copyOf(jobOf(source, recordingWriter({ size: 3 * MIB }), { hash }));
  const hole = { ...stepOf(holeExtent(MIB / 2, 3 * MIB - 512)), action: "skip" } as const;
  const ends = [];
  for (let at = hole.start; at < hole.end; at = ends.at(-1)!) ends.push(await hashSkipped(copy, hole, at));
  assert.deepEqual(ends, [MIB, 2 * MIB, 3 * MIB - 512]);
  const zero = { ...stepOf(zeroExtent(0, 130 * MIB)), action: "skip" } as const;
  assert.equal(await hashSkipped(copy, zero, 0), 64 * MIB);
  assert.equal(await hashSkipped(copy, zero, 128 * MIB), 130 * MIB);
  await copy.pipeline.drained();
  assert.deepEqual(source.reads, ["524288-1048576", "1048576-2097152", "2097152-3145216"]);
  assert.deepEqual(hash.taken.map((entry) => entry.replace(/ of .*/, "")), [
    `data ${MIB / 2}`,
    `data ${MIB}`,
    `data ${MIB - 512}`,
    `zeroes ${64 * MIB}`,
    `zeroes ${2 * MIB}`,
  ]);
  assert.ok(copy.settled.every(({ zeroes, action }) => zeroes === 0 && action === "skip"));
});

Deno.test("hasherOf: zeroes of any length hash as bytes do", () => {
  for (const length of [0, 1, MIB, 2 * MIB + 5]) {
    const hash = hasherOf();
    hash.data(new Uint8Array([1]));
    hash.zeroes(length);
    const bytes = new Uint8Array(length + 1);
    bytes[0] = 1;
    assert.equal(hash.hex(), createHash("sha256").update(bytes).digest("hex"));
  }
});
