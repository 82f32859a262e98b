/** The mover of the host: which parts it takes, and how it asks. */
import assert from "node:assert/strict";
import { hostCopyTo } from "../../../core/copy/host_copy.ts";
import type { Step } from "../../../core/copy/plan.ts";
import {
  compressedExtent,
  dataExtent,
  type Extent,
  type HostCopy,
  MemoryStorage,
  type Storage,
  type WritableStorage,
  zeroExtent,
} from "../../../formats/mod.ts";
import { copyOf, dataBytes, fakeReader, jobOf, locatedWriter, recordingWriter, stepOf } from "../../support/copying.ts";

const KIB = 1024;
const MIB = 1 << 20;

/** Storage whose host copies; lists its calls. `most`: the host refuses to copy more bytes in one call. */
function copyingStorage(shares: (source: Storage) => boolean = () => true, most = Infinity) {
  const memory = new MemoryStorage();
  const calls: string[] = [];
  const asked: string[] = [];
  const copying = {
    async copyFrom(source: Storage, start: number, end: number, fileOffset: number, how: HostCopy) {
      calls.push(`${how} ${start}-${end} to ${fileOffset}`);
      const bytes = new Uint8Array(Math.min(end - start, most));
      await source.readAt(bytes, start);
      await memory.writeAt(bytes, fileOffset);
      return bytes.length;
    },
    mayShareWith: (source: Storage) => (asked.push(source.label), shares(source)),
  };
  return { storage: Object.assign(memory, copying) as MemoryStorage & WritableStorage, calls, asked };
}

/** Offers each part of a step to the mover, until it takes none. */
async function offered(target: ReturnType<typeof copyingStorage>, how: HostCopy, step: Step, content: Uint8Array) {
  const writer = locatedWriter(target.storage, { size: content.length });
  const copy = copyOf(jobOf(fakeReader(content, step.extents), writer));
  const mover = hostCopyTo(target.storage, how)(copy);
  const ends: (number | null)[] = [];
  for (let at: number | null = step.start; at !== null && at < step.end;) ends.push(at = await mover(step, at));
  return { ends, writer, settled: copy.settled };
}

Deno.test("hostCopyTo: located data is copied in parts of 4 MiB, an extent at a time", async () => {
  const content = dataBytes(10 * MIB);
  const storage = new MemoryStorage(content);
  const extents = [
    dataExtent(0, 9 * MIB, { storage, offset: 0 }),
    dataExtent(9 * MIB, 10 * MIB, {
      storage,
      offset: 9 * MIB,
    }),
  ];
  const target = copyingStorage();
  const { ends, settled } = await offered(target, "copy", stepOf(...extents), content);
  assert.deepEqual(ends, [4 * MIB, 8 * MIB, 9 * MIB, 10 * MIB]);
  assert.deepEqual(target.calls[0], `copy 0-${4 * MIB} to 0`);
  assert.deepEqual(target.asked, [], "sharing is not asked for");
  assert.deepEqual(target.storage.bytes(), content);
  assert.ok(settled.every(({ zeroes }) => zeroes === 0), "what the host copies is not looked at");
});

Deno.test("hostCopyTo: only what has a location inside its file is taken", async () => {
  const content = dataBytes(16 * KIB);
  const storage = new MemoryStorage(content.slice(0, 6 * KIB));
  const location = { storage, offset: 0 };
  const steps: [string, Extent, (number | null)[]][] = [
    ["no location", dataExtent(0, 16 * KIB), [null]],
    ["compressed", compressedExtent(0, 16 * KIB), [null]],
    ["zeroes", zeroExtent(0, 16 * KIB, location), [null]],
    ["a file that was cut off", dataExtent(0, 16 * KIB, location), [6 * KIB, null]],
  ];
  for (const [name, extent, expected] of steps) {
    assert.deepEqual((await offered(copyingStorage(), "copy", stepOf(extent), content)).ends, expected, name);
  }
});

Deno.test("hostCopyTo: blocks are shared whole, at the same offset within a block, where the host may share", async () => {
  const content = dataBytes(64 * KIB);
  const source = new MemoryStorage(content, "source");
  const extent = (start: number, end: number, offset = start) => dataExtent(start, end, { storage: source, offset });
  const target = copyingStorage();
  const whole = await offered(target, "clone", stepOf(extent(0, 10_000)), content);
  assert.deepEqual(whole.ends, [8192, null], "the rest of a block is left to others");
  assert.deepEqual(target.calls, ["clone 0-8192 to 0"]);
  for (const refused of [extent(512, 8192), extent(0, 8192, 512), extent(0, 4000)]) {
    assert.deepEqual((await offered(copyingStorage(), "clone", stepOf(refused), content)).ends, [null]);
  }
  const apart = copyingStorage(() => false);
  const copy = copyOf(jobOf(fakeReader(content, []), locatedWriter(apart.storage, { size: content.length })));
  const mover = hostCopyTo(apart.storage, "clone")(copy);
  for (const at of [0, 4096]) assert.equal(await mover(stepOf(extent(0, 64 * KIB)), at), null);
  assert.deepEqual(apart.asked, ["source"], "asked once for each file");
});

Deno.test("hostCopyTo: a host that refuses on the way is not asked again, and the part is whole", async () => {
  const content = dataBytes(10 * MIB);
  const storage = new MemoryStorage(content);
  const step = stepOf(dataExtent(0, 10 * MIB, { storage, offset: 0 }));
  const target = copyingStorage(() => true, MIB);
  const { ends } = await offered(target, "copy", step, content);
  assert.deepEqual(ends, [4 * MIB, null]);
  assert.equal(target.calls.length, 1);
  assert.deepEqual(target.storage.bytes(), content.subarray(0, 4 * MIB));
});

Deno.test("hostCopyTo: nothing is taken where the target cannot be written so", async () => {
  const content = dataBytes(4096);
  const step = stepOf(dataExtent(0, 4096, { storage: new MemoryStorage(content), offset: 0 }));
  const source = fakeReader(content, step.extents);
  const noHost = copyOf(jobOf(source, locatedWriter(new MemoryStorage(), { size: 4096 })));
  assert.equal(await hostCopyTo(new MemoryStorage(), "copy")(noHost)(step, 0), null);
  const noContent = copyOf(jobOf(source, recordingWriter({ size: 4096 })));
  assert.equal(await hostCopyTo(copyingStorage().storage, "copy")(noContent)(step, 0), null);
  const { storage } = copyingStorage();
  const { mayShareWith: _, ...neverShares } = storage as MemoryStorage & { mayShareWith: unknown };
  const target = { ...neverShares, copyFrom: () => Promise.resolve(0) } as unknown as WritableStorage;
  assert.equal(await hostCopyTo(target, "clone")(noHost)(step, 0), null);
});
