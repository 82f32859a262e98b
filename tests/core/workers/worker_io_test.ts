/** Workers that copy and compare by themselves. */
import assert from "node:assert/strict";
import * as zlib from "node:zlib";
import { workerPoolOf } from "../../../core/workers/worker_pool.ts";
import { compare } from "../../../core/compare.ts";
import { convert } from "../../../core/convert.ts";
import type { ConvertJob } from "../../../core/job.ts";
import type { ConvertEvent } from "../../../core/events.ts";
import { type FileRange, type WorkerIo, workerIo } from "../../../core/workers/worker_io.ts";
import { assertBytes } from "../../support/model.ts";
import { readyWorkerIo } from "../../support/workers.ts";
import { hasQemu, qemuImgOk, qemuIo, rng, type Scratch, scratch, seed } from "../../support/qemu.ts";

const KIB = 1024;
const MIB = KIB * KIB;
const noWorkers = Deno.build.os === "windows";

/** Passes on, and counts what was copied and compared; fails the `nth` order. */
function counted(io: WorkerIo, nth = 0): WorkerIo & { readonly requests: number[] } {
  const requests: number[] = [];
  const failing = <T>(length: number, go: () => Promise<T>) => {
    requests.push(length);
    return requests.length === nth ? Promise.resolve(null) : go();
  };
  return {
    ...io,
    requests,
    copy: (request) => failing(lengthOf(request.from), () => io.copy(request)),
    decompressInto: (request) => failing(lengthOf(request.clusters), () => io.decompressInto(request)),
    compare: (request) => failing(request.length, () => io.compare(request)),
  };
}

function rangeIn(path: string, offset = 0): FileRange {
  const { dev, ino } = Deno.statSync(path);
  return { path, identity: { dev, ino: ino! }, offset };
}

/** Returns the bytes of all parts. */
function lengthOf(parts: readonly { readonly length: number }[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

async function file(folder: Scratch, name: string, bytes: Uint8Array): Promise<string> {
  await Deno.writeFile(folder.file(name), bytes);
  return folder.file(name);
}

Deno.test({
  name: "a worker copies data to its location, and leaves out zeroes on the guest's grid",
  ignore: noWorkers,
  async fn() {
    await using folder = await scratch();
    using io = await readyWorkerIo();
    const bytes = rng(1).bytes(MIB);
    bytes.fill(0, 300 * KIB, 401 * KIB);
    const source = await file(folder, "a", bytes);
    const target = await file(folder, "b", new Uint8Array(2 * MIB).fill(0xee));
    const rule = { grid: 4 * KIB, least: 4 * KIB };
    const from = [
      { ...rangeIn(source, 100), length: 5000 },
      { ...rangeIn(source, 5100), length: MIB - 5100 },
    ];
    const request = { from, to: rangeIn(target, 1000), guestStart: 2148, rule };
    const copied = await io.copy(request);
    assert.ok(copied);
    const expected = new Uint8Array(2 * MIB).fill(0xee);
    expected.set(bytes.subarray(100), 1000);
    for (const { zero, start, end } of copied.zeroes) {
      assert.ok(zero && start % (4 * KIB) === 0 && end % (4 * KIB) === 0);
      expected.fill(0xee, 1000 + start - 2148, 1000 + end - 2148);
    }
    const zeroes = copied.zeroes.reduce((sum, { start, end }) => sum + end - start, 0);
    assert.equal(zeroes, 96 * KIB);
    assertBytes(await Deno.readFile(target), expected);
  },
});

Deno.test({
  name: "a worker finds the first byte that differs",
  ignore: noWorkers,
  async fn() {
    await using folder = await scratch();
    using io = await readyWorkerIo();
    const bytes = rng(2).bytes(MIB);
    const one = await file(folder, "a", bytes);
    for (const at of [0, 255 * KIB, 256 * KIB, MIB - 1]) {
      const other = bytes.slice();
      other[at] ^= 1;
      const path = await file(folder, `b${at}`, other);
      assert.equal(await io.compare({ one: rangeIn(one), other: rangeIn(path), length: MIB }), at);
      assert.equal(await io.compare({ one: rangeIn(one), other: rangeIn(path), length: at }), -1);
    }
  },
});

Deno.test({
  name: "a worker decompresses clusters, and writes them to their location but for zeroes",
  ignore: noWorkers,
  async fn() {
    await using folder = await scratch();
    const target = await file(folder, "target", new Uint8Array(2 * MIB).fill(0xee));
    const clusterSize = 300 * KIB;
    const plain = rng(4).bytes(4 * clusterSize).map((byte) => byte >> 5);
    plain.fill(0, clusterSize, 2 * clusterSize + 8 * KIB);
    const compressors = [zlib.deflateRawSync, zlib.deflateSync, zlib.zstdCompressSync, zlib.deflateRawSync];
    const codecs = ["deflate", "zlib", "zstd", "deflate"] as const;
    const clusters = compressors.map((compress, nth) => ({
      codec: codecs[nth],
      bytes: new Uint8Array(compress(plain.subarray(nth * clusterSize, (nth + 1) * clusterSize))),
      length: clusterSize,
    }));
    const rule = { grid: 4 * KIB, least: 4 * KIB };
    const request = { clusters, to: rangeIn(target, 700), guestStart: 8 * KIB, rule };
    using io = await readyWorkerIo();
    const copied = await io.decompressInto(request);
    assert.ok(copied);
    const expected = new Uint8Array(2 * MIB).fill(0xee);
    expected.set(plain, 700);
    for (const { start, end } of copied.zeroes) expected.fill(0xee, 700 + start - 8 * KIB, 700 + end - 8 * KIB);
    assert.equal(lengthOf(copied.zeroes.map(({ start, end }) => ({ length: end - start }))), clusterSize + 8 * KIB);
    assertBytes(await Deno.readFile(target), expected);
    for (
      const damaged of [{ ...clusters[1], bytes: clusters[1].bytes.subarray(9) }, {
        ...clusters[0],
        length: clusterSize + 1,
      }]
    ) {
      using other = await readyWorkerIo();
      assert.equal(await other.decompressInto({ ...request, clusters: [clusters[0], damaged] }), null);
    }
  },
});

Deno.test({
  name: "a worker touches no other file that has taken the name, and says what it cannot",
  ignore: noWorkers,
  async fn() {
    await using folder = await scratch();
    const source = await file(folder, "a", new Uint8Array(KIB).fill(7));
    const target = await file(folder, "b", new Uint8Array(KIB));
    const from = [{ ...rangeIn(source), length: KIB }];
    const request = { from, to: rangeIn(target), guestStart: 0, rule: null };
    await Deno.rename(target, folder.file("moved"));
    await Deno.writeFile(target, new Uint8Array(KIB));
    {
      using io = await readyWorkerIo();
      assert.equal(await io.copy(request), null);
      assert.equal(io.accepts(MIB), false, "and no further request");
    }
    assert.ok((await Deno.readFile(target)).every((byte) => byte === 0));
    using io = await readyWorkerIo();
    const tooLong = { one: rangeIn(source), other: rangeIn(source), length: KIB + 1 };
    assert.equal(await io.compare(tooLong), null);
  },
});

Deno.test({
  name: "a short job starts no worker, and one alone is none",
  fn() {
    const workers = workerPoolOf(2);
    using io = workerIo(workers);
    io.expect(255 * MIB);
    assert.equal(io.accepts(63 * MIB), false);
    assert.equal(workers.state, "none");
    using noWorker = workerIo(workerPoolOf(1), { startAfter: 0 });
    assert.equal(noWorker.accepts(MIB), false);
  },
});

Deno.test({
  name: "a job that is known to be long starts them soon",
  ignore: noWorkers,
  fn() {
    const workers = workerPoolOf(2);
    using io = workerIo(workers, { workers: 1 });
    io.expect(256 * MIB);
    io.accepts(3 * MIB);
    assert.equal(workers.state, "none", "two disks may differ at once");
    io.accepts(MIB);
    assert.equal(workers.state, "starting");
  },
});

Deno.test("work without workers counts once, and the expected bytes are announced", async () => {
  await using folder = await scratch();
  const source = await file(folder, "a", rng(seed()).bytes(9 * MIB + 700));
  let taken = 0;
  let expected = 0;
  const io: WorkerIo = {
    ...workerIo(workerPoolOf(1)),
    accepts(length) {
      taken += length;
      return false;
    },
    expect: (length) => expected = length,
  };
  const target = { path: folder.file("b"), format: "raw" };
  await convert({ sources: [{ path: source, format: "raw" }], target }, { workerIo: io, onEvent: () => {} });
  assert.deepEqual([taken, expected], [9 * MIB + 700, 9 * MIB + 700]);
  taken = 0;
  await compare({ path: source, format: "raw" }, target, { workerIo: io });
  assert.equal(taken, 9 * MIB + 700);
});

Deno.test({
  name: "workers are started one by one, and those that are there first work",
  ignore: noWorkers,
  async fn() {
    await using folder = await scratch();
    const path = await file(folder, "a", new Uint8Array(KIB).fill(7));
    const workers = workerPoolOf(3);
    using io = workerIo(workers, { startAfter: 0, workers: 1 });
    const request = { one: rangeIn(path), other: rangeIn(path), length: KIB };
    for (const wanted of [1, 2, 3]) {
      workers.start(wanted);
      assert.equal(workers.state, "starting");
      while (workers.state === "starting") await new Promise((resolve) => setTimeout(resolve, 5));
      assert.ok(io.accepts(KIB));
      assert.deepEqual(await Promise.all(Array(9).fill(request).map((one) => io.compare(one))), Array(9).fill(-1));
    }
    workers.start();
    assert.equal(workers.state, "ready", "there are no more");
    assert.equal(io.width, 2);
  },
});

Deno.test("a disk is compared beside workers; the first difference counts, whichever finds one first", async () => {
  await using folder = await scratch();
  const bytes = rng(seed()).bytes(8 * MIB);
  const one = await file(folder, "a", bytes);
  bytes[6 * MIB] ^= 1;
  const other = await file(folder, "b", bytes);
  for (const [path, answer, difference] of [[one, -1, undefined], [other, -1, 6 * MIB], [other, 5000, 4608]] as const) {
    let answered = (_: number) => {};
    const io: WorkerIo = {
      width: 1,
      accepts: () => true,
      expect: () => {},
      copy: () => Promise.resolve(null),
      decompressInto: () => Promise.resolve(null),
      // Says nothing until all that follows has been compared.
      compare: () => new Promise((resolve) => answered = resolve),
      hash: () => Promise.resolve(null),
      [Symbol.dispose]: () => {},
    };
    let reads = 0;
    const onStage = (stage: string) => {
      if (stage === "read" && ++reads === 4) answered(answer);
    };
    const images = [one, path].map((path) => ({ path, format: "raw" }));
    assert.equal((await compare(images[0], images[1], { workerIo: io, onStage })).at, difference);
  }
});

Deno.test({
  name: "jobs with workers give the same bytes, runs in order, and go on alone where a worker fails",
  ignore: noWorkers || !hasQemu,
  async fn() {
    await using folder = await scratch();
    const raw = await file(folder, "base.raw", new Uint8Array(0));
    await Deno.truncate(raw, 20 * MIB + 700);
    await qemuIo(
      ["-f", "raw", raw],
      "write -P 3 0 9M",
      "write -P 0 6M 300k",
      "write -P 4 12M 3M",
      "write -P 5 20M 512",
    );
    const top = folder.file("top.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw", top);
    await qemuIo(top, "write -P 9 100k 5M", "write -z 13M 1M", "write -P 8 14100k 700k");
    for (const nth of [0, 1, 2]) {
      for (const [name, create] of [["new", true], ["old", false]] as const) {
        const path = folder.file(`${name}${nth}.raw`);
        if (!create) await Deno.writeFile(path, new Uint8Array(21 * MIB).fill(0xee));
        const io = counted(await readyWorkerIo(), nth);
        const events: ConvertEvent[] = [];
        const target = { path, format: "raw", create };
        const job = { sources: [{ path: top, format: "qcow2" }], target };
        const { totals } = await convert(job, { workerIo: io, onEvent: (event) => events.push(event) });
        await qemuImgOk("compare", "-f", "qcow2", "-F", "raw", top, path).catch((error) => {
          // What lies past the end of the source was not to be touched.
          if (create || !/size mismatch/i.test(String(error))) throw error;
        });
        assert.ok(io.requests.length > 2);
        assert.ok(totals.zeroes >= 300 * KIB, "zeroes inside data are found by workers, too");
        let at = 0;
        for (const event of events) {
          if (event.type !== "extent") continue;
          assert.equal(event.start, at);
          at = event.end;
        }
        assert.equal(at, 20 * MIB + 1024);
      }
    }
    const other = folder.file("other.raw");
    await Deno.copyFile(folder.file("new0.raw"), other);
    for (const nth of [0, 1, 3]) {
      const io = counted(await readyWorkerIo(), nth);
      assert.equal((await compare({ path: top }, { path: other, format: "raw" }, { workerIo: io })).identical, true);
      assert.ok(io.requests.length > 2);
    }
    await qemuIo(["-f", "raw", other], "write -P 1 14200k 1");
    await qemuIo(["-f", "raw", other], "write -P 1 8900k 1");
    for (const nth of [0, 1, 2, 3]) {
      const io = counted(await readyWorkerIo(), nth);
      const found = await compare({ path: top }, { path: other, format: "raw" }, { workerIo: io });
      assert.deepEqual([found.difference, found.at], ["content", 8900 * KIB]);
    }
  },
});

const compressions = [
  { name: "qcow2, zlib", spec: { format: "qcow2", compress: true } },
  { name: "qcow2, zstd", spec: { format: "qcow2", compress: true, options: { compression_type: "zstd" } } },
  { name: "qcow2, large clusters", spec: { format: "qcow2", compress: true, options: { cluster_size: 2 * MIB } } },
  { name: "vmdk", spec: { format: "vmdk", compress: true, options: { subformat: "streamOptimized" } } },
] as const;

for (const { name, spec } of compressions) {
  Deno.test({
    name: `compressed data go to fixed places by workers: ${name}`,
    ignore: noWorkers || !hasQemu,
    async fn() {
      await using folder = await scratch();
      // Clusters that are compressed, stored, zero in part, and a disk that ends inside one.
      const random = rng(5);
      const bytes = random.bytes(6 * MIB + 1536);
      for (let at = 0; at < bytes.length; at += MIB) bytes.fill(at >> 20, at, at + 700 * KIB);
      bytes.fill(0, 3 * MIB + 300 * KIB, 3 * MIB + 420 * KIB);
      const source = await file(folder, "source", bytes);
      const compressed = folder.file("compressed");
      const sources = [{ path: source, format: "raw" }];
      await convert({ sources, target: { ...spec, path: compressed }, sync: "never" });
      const targets = [
        { format: "raw" },
        { format: "vpc", options: { subformat: "fixed" } },
        { format: "vdi", options: { static: true } },
        { format: "vhdx", options: { subformat: "fixed" } },
        { format: "vmdk", options: { subformat: "monolithicFlat" } },
        { format: "raw", create: false },
      ];
      for (const [index, target] of targets.entries()) {
        for (const nth of [0, 1, 3]) {
          const path = folder.file(`to${index}-${nth}`);
          if (target.create === false) await Deno.writeFile(path, new Uint8Array(bytes.length + 100).fill(0xee));
          const io = counted(await readyWorkerIo(), nth);
          const job: ConvertJob = { sources: [{ path: compressed }], target: { ...target, path }, sync: "never" };
          await convert(job, { workerIo: io });
          assert.ok(io.requests.length >= 3, `${io.requests.length} orders`);
          const back = folder.file("back");
          await qemuImgOk("convert", "-f", target.format, "-O", "raw", path, back);
          assertBytes((await Deno.readFile(back)).subarray(0, bytes.length), bytes);
          if (target.create === false) {
            assert.ok((await Deno.readFile(path)).subarray(bytes.length).every((byte) => byte === 0xee));
          }
        }
      }
      const cut = compressed + ".cut";
      const damaged = await Deno.readFile(compressed);
      damaged[MIB] ^= 0x55;
      await Deno.writeFile(cut, damaged);
      const target = { path: folder.file("none"), format: "raw" };
      const io = counted(await readyWorkerIo());
      await convert({ sources: [{ path: cut, format: spec.format }], target }, { workerIo: io }).catch((error) => {
        assert.equal(error.kind, "corrupt", "in the words of the reader");
        assert.throws(() => Deno.statSync(target.path), Deno.errors.NotFound);
      });
    },
  });
}
