/** Workers that take their time: whatever comes back first, the bytes, their order and the bounded window hold. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { workerPoolOf } from "../../../core/workers/worker_pool.ts";
import type { ConvertEvent } from "../../../core/events.ts";
import type { WorkerIo } from "../../../core/workers/worker_io.ts";
import type { ConvertJob, TargetSpec } from "../../../core/job.ts";
import type { CodecPool } from "../../../core/workers/codec_pool.ts";
import { ImageError } from "../../../formats/mod.ts";
import { readyCodecPool, readyWorkerIo } from "../../support/workers.ts";
import { type Rng, rng, type Scratch, scratch, seed } from "../../support/qemu.ts";

/** Bytes that the copy reads and writes at once where clusters are compressed or decompressed, unless a cluster is larger. */
const PIECE = 512 << 10;
const SECTOR = 512;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** How long to wait for what must come in the end; on a busy machine it may be late, but no more. */
const PATIENCE = 60_000;

/** What a slow pool has seen. */
interface Seen {
  /** Clusters submitted and not yet done: now, and at most. */
  now: number;
  most: number;
  total: number;
}

/**
 * A pool whose first `held` clusters are done only when all of them have been submitted, the last one first: so many must
 * be under way at once, and their order is not that of their coming back. The others wait at random before and after
 * their turn.
 */
function slowPool(inner: CodecPool, random: Rng, held = 0): CodecPool & { readonly seen: Seen } {
  const seen: Seen = { now: 0, most: 0, total: 0 };
  const back = Array.from({ length: held + 1 }, () => Promise.withResolvers<void>());
  let ended = false;
  async function slowly<T>(action: () => Promise<T>): Promise<T> {
    const ticket = seen.total++;
    seen.now++;
    seen.most = Math.max(seen.most, seen.now);
    if (seen.total === held) back[held]!.resolve();
    const waits = [0, 0].map(() => random.chance(0.3) ? random.int(12) : 0);
    try {
      if (waits[0]) await sleep(waits[0]);
      if (ended) throw new ImageError("cancelled", "The pool has ended");
      const result = await action();
      if (ticket < held) await within(back[ticket + 1]!.promise, `cluster ${ticket + 1} of ${held} at once`);
      else if (waits[1]) await sleep(waits[1]);
      return result;
    } finally {
      seen.now--;
      if (ticket < held) back[ticket]!.resolve();
    }
  }
  return {
    seen,
    width: inner.width,
    seconds: inner.seconds,
    compress: (codec, cluster) => slowly(() => inner.compress(codec, cluster)),
    decompress: (codec, compressed, into) => slowly(() => inner.decompress(codec, compressed, into)),
    [Symbol.dispose]() {
      ended = true;
      inner[Symbol.dispose]();
    },
  };
}

/** The result of `promise`; fails where that does not come. */
async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`It never came: ${what}`)), PATIENCE);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until clusters that were in flight when a job ended are done. */
async function drained(seen: Seen): Promise<void> {
  for (let waited = 0; seen.now > 0 && waited < PATIENCE; waited += 5) await sleep(5);
  assert.equal(seen.now, 0);
}

/** Returns how many clusters of this many bytes may be in flight. */
const windowOf = (pool: CodecPool, clusterSize: number) => (2 * pool.width + 1) * Math.max(1, PIECE / clusterSize);

/** Noise, text and holes of any length, so that pieces are whole, cut, compressed and plain. */
function mixed(random: Rng, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const end = Math.min(length, at + random.int(1, 300_000));
    if (random.chance(0.6)) bytes.set(random.bytes(end - at), at);
    else if (random.chance(0.7)) bytes.fill(random.int(1, 256), at, end);
    at = end;
  }
  return bytes;
}

interface Target {
  readonly name: string;
  /** Bytes that are compressed at once. */
  readonly clusterSize: number;
  readonly spec: Omit<TargetSpec, "path">;
}

const targets: readonly Target[] = [
  { name: "qcow2, zlib", clusterSize: 65_536, spec: { format: "qcow2", compress: true } },
  {
    name: "qcow2, zstd, small clusters",
    clusterSize: 16_384,
    spec: { format: "qcow2", compress: true, options: { compression_type: "zstd", cluster_size: "16k" } },
  },
  {
    name: "vmdk, streamOptimized",
    clusterSize: 65_536,
    spec: { format: "vmdk", compress: true, options: { subformat: "streamOptimized" } },
  },
];

async function sourceIn(folder: Scratch, bytes: Uint8Array): Promise<ConvertJob["sources"]> {
  await Deno.writeFile(folder.file("source"), bytes);
  return [{ path: folder.file("source"), format: "raw" }];
}

const names = (folder: Scratch) => [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();

for (const workers of [1, 2, 16]) {
  for (const { name, clusterSize, spec } of targets) {
    Deno.test(`${workers} slow workers: ${name}: bytes, order, window`, async () => {
      await using folder = await scratch();
      const random = rng(seed());
      // Some compressible clusters come first: those are held until enough are in flight.
      const bytes = mixed(random, SECTOR * random.int(6_000, 10_000)).fill(1, 0, PIECE);
      const sources = await sourceIn(folder, bytes);
      const compressed = { ...spec, path: folder.file("compressed") };
      const compression = slowPool(await readyCodecPool(workers), random, atOnce(workers));
      await convert({ sources, target: compressed, sync: "never" }, { pool: compression });
      checkWindow(compression, clusterSize);
      if (spec.format === "vmdk") checkGrains(await Deno.readFile(compressed.path), bytes.length);
      const decompressing = slowPool(await readyCodecPool(workers), random, atOnce(workers));
      const back = { path: folder.file("back"), format: "raw" };
      await convert({ sources: [{ path: compressed.path }], target: back, sync: "never" }, { pool: decompressing });
      checkWindow(decompressing, clusterSize);
      const found = await Deno.readFile(back.path);
      assert.equal(Buffer.compare(found.subarray(0, bytes.length), bytes), 0, "the bytes came back");
      assert(found.subarray(bytes.length).every((byte) => byte === 0), "what a format rounds up to is zero");
    });
  }
}

/** Clusters in flight that keep all workers busy. */
const atOnce = (workers: number) => Math.min(workers, 2) + 1;

function checkWindow({ seen, ...pool }: ReturnType<typeof slowPool>, clusterSize: number): void {
  assert.equal(seen.now, 0, "nothing is under way after the end");
  const most = windowOf(pool, clusterSize);
  assert(seen.most <= most, `${seen.most} clusters of ${clusterSize} bytes in flight, at most ${most} may be`);
  assert(seen.total >= 10, `${seen.total} clusters are enough to see the order`);
}

/** Walks a stream-optimized extent from front to end: grains must ascend, and so must the tables behind them. */
function checkGrains(file: Uint8Array, size: number): void {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  let last = -1;
  let grains = 0;
  // The header tells where its descriptor ends and the stream begins ("overHead").
  for (let at = Number(view.getBigUint64(64, true)) * SECTOR; at < file.length;) {
    const value = Number(view.getBigUint64(at, true));
    const length = view.getUint32(at + 8, true);
    if (length > 0) {
      assert(value > last, `the grain of sector ${value} lies behind that of ${last}`);
      assert(value * SECTOR < size);
      [last, grains] = [value, grains + 1];
      at += Math.ceil((12 + length) / SECTOR) * SECTOR;
    } else {
      const type = view.getUint32(at + 12, true);
      assert(type <= 3, `a marker of type ${type} at ${at}`);
      at += SECTOR * (1 + value);
    }
  }
  assert(grains > 20, `${grains} grains`);
}

Deno.test("the slowest cluster first: large clusters wait for it, and the order holds", async () => {
  await using folder = await scratch();
  const bytes = new Uint8Array(16 << 20);
  for (let at = 0; at < bytes.length; at += 65_536) bytes.fill(1 + at / 65_536 % 255, at, at + 65_536);
  const sources = await sourceIn(folder, bytes);
  const large = { path: folder.file("large"), format: "qcow2", compress: true, options: { cluster_size: "2M" } };
  await convert({ sources, target: large, sync: "never" });
  const inner = await readyCodecPool(4);
  let submitted = 0;
  const pool: CodecPool = {
    ...inner,
    async compress(codec, cluster) {
      const waits = submitted++ === 0;
      const compressed = await inner.compress(codec, cluster);
      // The others wait for this one as soon as the window is full: then no more are submitted.
      for (let before = 0; waits && before < submitted;) {
        before = submitted;
        await sleep(300);
      }
      return compressed;
    },
  };
  const target = { ...targets[2].spec, path: folder.file("out") };
  await convert({ sources: [{ path: large.path }], target, sync: "never" }, { pool });
  assert.equal(submitted, bytes.length / 65_536);
  checkGrains(await Deno.readFile(target.path), bytes.length);
  const back = { path: folder.file("back"), format: "raw" };
  await convert({ sources: [{ path: target.path }], target: back, sync: "never" });
  assert.equal(Buffer.compare(await Deno.readFile(back.path), bytes), 0);
});

for (const { name, spec } of targets) {
  Deno.test(`a cluster that fails among slow ones: ${name}: its own error, and nothing is left`, async () => {
    await using folder = await scratch();
    const random = rng(seed());
    const sources = await sourceIn(folder, mixed(random, 6_000_000));
    const failing = random.int(5, 40);
    const slow = slowPool(await readyCodecPool(4), random);
    let count = 0;
    const pool: CodecPool = {
      ...slow,
      compress: (codec, cluster) => {
        if (++count !== failing) return slow.compress(codec, cluster);
        return sleep(random.int(20)).then(() =>
          Promise.reject(new ImageError("io", `Cannot compress cluster ${failing}`))
        );
      },
    };
    const job = { sources, target: { ...spec, path: folder.file("out") }, sync: "never" } as const;
    await assert.rejects(convert(job, { pool }), { kind: "io", message: `Cannot compress cluster ${failing}` });
    await drained(slow.seen);
    assert.deepEqual(names(folder), ["source"]);
  });
}

Deno.test("what a worker throws ends the job", async () => {
  await using folder = await scratch();
  const random = rng(seed());
  const sources = await sourceIn(folder, mixed(random, 6_000_000));
  const inner = await readyCodecPool(2);
  let count = 0;
  const pool: CodecPool = {
    ...inner,
    // No deflate has such a window: the worker itself fails.
    compress: (codec, cluster) =>
      inner.compress(++count === 30 ? { name: "deflate", windowBits: 99, level: 1 } : codec, cluster),
  };
  const job: ConvertJob = { sources, target: { ...targets[0].spec, path: folder.file("out") }, sync: "never" };
  await assert.rejects(convert(job, { pool }), {
    name: "ImageError",
    kind: "io",
    message: /Cannot compress: .*windowBits/,
  });
  assert.deepEqual(names(folder), ["source"]);
});

Deno.test("a cluster that fails while it is decompressed ends the job with its own error", async () => {
  await using folder = await scratch();
  const random = rng(seed());
  const sources = await sourceIn(folder, mixed(random, 6_000_000));
  await convert({ sources, target: { ...targets[0].spec, path: folder.file("compressed") }, sync: "never" });
  const slow = slowPool(await readyCodecPool(4), random);
  let count = 0;
  const pool: CodecPool = {
    ...slow,
    decompress: (codec, compressed, into) =>
      ++count === 17
        ? Promise.reject(new ImageError("io", "Cannot decompress cluster 17"))
        : slow.decompress(codec, compressed, into),
  };
  const job: ConvertJob = {
    sources: [{ path: folder.file("compressed") }],
    target: { path: folder.file("out"), format: "raw" },
    sync: "never",
  };
  await assert.rejects(convert(job, { pool }), { kind: "io", message: "Cannot decompress cluster 17" });
  await drained(slow.seen);
  assert.deepEqual(names(folder), ["compressed", "source"]);
});

for (const { name, spec } of targets) {
  Deno.test(`cancelling does not wait for workers: ${name}`, async () => {
    await using folder = await scratch();
    const sources = await sourceIn(folder, mixed(rng(seed()), 6_000_000));
    const inner = await readyCodecPool(2);
    const waiting: ((error: unknown) => void)[] = [];
    const begun = Promise.withResolvers<void>();
    // Nothing ever comes back, until the pool is ended.
    const pool: CodecPool = {
      ...inner,
      compress: () =>
        new Promise((_, reject) => {
          waiting.push(reject);
          begun.resolve();
        }),
      [Symbol.dispose]() {
        for (const reject of waiting.splice(0)) reject(new ImageError("cancelled", "Cancelled while compression"));
        inner[Symbol.dispose]();
      },
    };
    const stop = new AbortController();
    const job: ConvertJob = { sources, target: { ...spec, path: folder.file("out") }, sync: "never" };
    const ended = assert.rejects(convert(job, { pool, signal: stop.signal }), { kind: "cancelled" });
    await begun.promise;
    await sleep(30);
    stop.abort();
    await within(ended, "the end, which waits for clusters that are never done");
    assert.deepEqual(names(folder), ["source"]);
  });
}

/** Returns a `WorkerIo` that waits before and after each request, and counts the requests that are in flight at once. */
function slowWorkerIo(inner: WorkerIo, random: Rng): WorkerIo & { readonly seen: Seen } {
  const seen: Seen = { now: 0, most: 0, total: 0 };
  async function slowly<T>(action: () => Promise<T>): Promise<T> {
    seen.total++;
    seen.most = Math.max(seen.most, ++seen.now);
    const waits = [0, 0].map(() => random.chance(0.5) ? random.int(25) : 0);
    try {
      await sleep(waits[0]);
      const result = await action();
      await sleep(waits[1]);
      return result;
    } finally {
      seen.now--;
    }
  }
  return {
    ...inner,
    seen,
    accepts: (length) => inner.accepts(length) && random.chance(0.8),
    copy: (request) => slowly(() => inner.copy(request)),
    decompressInto: (request) => slowly(() => inner.decompressInto(request)),
  };
}

for (const { name, spec } of [{ name: "raw", spec: { format: "raw" } }, ...targets]) {
  Deno.test({
    name: `slow workers that write by themselves, from ${name}: bytes, order of events, window`,
    ignore: Deno.build.os === "windows",
    async fn() {
      await using folder = await scratch();
      const random = rng(seed());
      const bytes = mixed(random, SECTOR * random.int(20_000, 30_000));
      const [plain] = await sourceIn(folder, bytes);
      const source = { path: folder.file("in"), format: spec.format! };
      await convert({ sources: [plain], target: { ...spec, ...source }, sync: "never" });
      const io = slowWorkerIo(await readyWorkerIo(), random);
      const target = { path: folder.file("back"), format: "raw" };
      let at = 0;
      const onEvent = (event: ConvertEvent) => {
        if (event.type !== "extent") return;
        assert.equal(event.start, at, "extents are reported in order");
        at = event.end;
      };
      await convert({ sources: [source], target, sync: "never" }, { workerIo: io, onEvent });
      assert(at >= bytes.length);
      assert.equal(io.seen.now, 0, "nothing is under way after the end");
      assert(io.seen.total >= 5 && io.seen.most > 1, `${io.seen.total} orders, ${io.seen.most} at once`);
      assert(io.seen.most <= 2 * workerPoolOf().width + 1, `${io.seen.most} orders at once`);
      const found = await Deno.readFile(target.path);
      assert.equal(Buffer.compare(found.subarray(0, bytes.length), bytes), 0, "the bytes came back");
    },
  });
}
