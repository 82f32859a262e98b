import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { convert } from "../../../core/convert.ts";
import type { WorkerPool } from "../../../core/workers/worker_pool.ts";
import type { ConvertJob } from "../../../core/job.ts";
import { codecPool, codecPoolOf } from "../../../core/workers/codec_pool.ts";
import { ImageError } from "../../../formats/mod.ts";
import { readyCodecPool } from "../../support/workers.ts";
import { hasQemu, qemuImgOk, rng, scratch, seed } from "../../support/qemu.ts";

const DEFLATE = { name: "deflate", windowBits: 12, level: -1 } as const;

/** Half noise, half text: some clusters compress, some do not. */
function mixed(random: ReturnType<typeof rng>, length: number): Uint8Array {
  const bytes = random.bytes(length);
  for (let at = 0; at < length; at += 131_072) bytes.fill(at / 131_072, at, at + 70_000);
  return bytes;
}

for (const workers of [1, 2, 16]) {
  Deno.test(`a pool of ${workers}: every cluster decompresses to what it was, in any order`, async () => {
    using pool = await readyCodecPool(workers);
    const random = rng(seed());
    const clusters = Array.from({ length: 60 }, (_, index) => mixed(random, random.int(1, 70_000) + index));
    const codecs = [DEFLATE, { name: "zstd", level: 3 } as const, { name: "zlib", windowBits: 15, level: 6 } as const];
    await Promise.all(clusters.map(async (cluster, index) => {
      const codec = codecs[index % codecs.length];
      const compressed = await pool.compress(codec, cluster);
      if (compressed === null) return;
      assert.ok(compressed.length < cluster.length);
      const shared = index % 2 === 0;
      const into = new Uint8Array(shared ? new SharedArrayBuffer(cluster.length) : new ArrayBuffer(cluster.length));
      assert.equal(await pool.decompress(codec.name, compressed, into), true);
      assert.deepEqual([...into], [...cluster]);
      assert.equal(
        await pool.decompress(codec.name, compressed, new Uint8Array(cluster.length + 1)),
        false,
        "too short",
      );
      assert.equal(
        await pool.decompress(codec.name, compressed.subarray(0, compressed.length >> 1), into),
        false,
        "cut",
      );
    }));
  });
}

Deno.test("a pool with little to do starts no worker, and fails in the same words", async () => {
  using pool = codecPool(2);
  const cluster = new Uint8Array(1 << 20).fill(7);
  const compressed = await pool.compress(DEFLATE, cluster);
  assert.ok(compressed);
  const into = new Uint8Array(cluster.length);
  assert.equal(await pool.decompress("deflate", compressed, into), true);
  assert.deepEqual(into, cluster);
  assert.equal(await pool.decompress("deflate", compressed.subarray(1), into), false);
  const wrong = { name: "deflate", windowBits: 99, level: 1 } as const;
  for (const one of [pool, await readyCodecPool(2)]) {
    await assert.rejects(one.compress(wrong, cluster), { kind: "io", message: /Cannot compress: .*windowBits/ });
  }
  const late = pool.compress(DEFLATE, cluster);
  pool[Symbol.dispose]();
  await assert.rejects(late, { kind: "cancelled" });
});

Deno.test("a pool that is ended fails what is under way, at once", async () => {
  const pool = await readyCodecPool(2);
  const tasks = Array.from({ length: 20 }, () => pool.compress(DEFLATE, new Uint8Array(1 << 20)));
  const settled = Promise.allSettled(tasks);
  pool[Symbol.dispose]();
  const failed = (await settled).filter(({ status }) => status === "rejected");
  assert.ok(failed.length > 10, `${failed.length} failed`);
  await assert.rejects(pool.compress(DEFLATE, new Uint8Array(1 << 20)), { kind: "cancelled" });
});

Deno.test({
  name: "one worker or many, fast or slow compression: the same guest bytes, and readers that agree",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const bytes = mixed(rng(seed()), 3_000_000);
    await Deno.writeFile(folder.file("source"), bytes);
    const source = { path: folder.file("source"), format: "raw" };
    for (const workers of [1, 2, 16]) {
      for (const compression_type of ["zlib", "zstd"]) {
        const target = {
          path: folder.file("compressed"),
          format: "qcow2",
          compress: true,
          options: { compression_type },
        };
        for (const compressionLevel of workers === 2 ? [undefined, 1, 9] : [undefined]) {
          const job: ConvertJob = { sources: [source], target, workers, ...(compressionLevel && { compressionLevel }) };
          await convert(job, { pool: await readyCodecPool(workers) });
          await qemuImgOk("check", "-f", "qcow2", target.path);
          await qemuImgOk("compare", "-f", "raw", "-F", "qcow2", source.path, target.path);
        }
        const back = { path: folder.file("back"), format: "raw" };
        await convert({ sources: [{ path: target.path }], target: back }, { pool: await readyCodecPool(workers) });
        assert.deepEqual((await Deno.readFile(back.path)).subarray(0, bytes.length), bytes);
      }
    }
  },
});

Deno.test("a level that the codec does not have, and a level where nothing is compressed, are refused", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("source"), new Uint8Array(100_000).fill(1));
  const job: ConvertJob = {
    sources: [{ path: folder.file("source"), format: "raw" }],
    target: { path: folder.file("out"), format: "qcow2", compress: true },
    compressionLevel: 12,
  };
  await assert.rejects(convert(job), { kind: "usage", message: /1 to 9/ });
  const zstd = { ...job.target, options: { compression_type: "zstd" } };
  await convert({ ...job, target: zstd });
  await assert.rejects(convert({ ...job, target: { ...job.target, compress: false } }), {
    kind: "usage",
    message: /-c/,
  });
});

const kinds = [
  { name: "qcow2, zlib", most: 9, format: "qcow2", options: {} },
  { name: "qcow2, zstd", most: 22, format: "qcow2", options: { compression_type: "zstd" } },
  { name: "vmdk, streamOptimized", most: 9, format: "vmdk", options: { subformat: "streamOptimized" } },
] as const;

for (const { name, most, format, options } of kinds) {
  Deno.test(`${name}: the same file by any number of workers, and smaller at a higher level`, async () => {
    await using folder = await scratch();
    const random = rng(seed());
    const bytes = mixed(random, 4 << 20);
    const words = Array.from({ length: 2000 }, () => random.bytes(random.int(2, 12)));
    for (let at = 0; at < 1 << 20;) {
      const word = random.pick(words);
      bytes.set(word, at);
      at += word.length;
    }
    await Deno.writeFile(folder.file("source"), bytes);
    const compress = async (job: Partial<ConvertJob>): Promise<Uint8Array> => {
      const target = { path: folder.file("compressed"), format, compress: true, options };
      const sources = [{ path: folder.file("source"), format: "raw" }];
      await convert({ sources, target, sync: "never", ...job }, { pool: await readyCodecPool(job.workers) });
      return await Deno.readFile(target.path);
    };
    // Behind the descriptor, which has a content ID that is drawn by lot.
    const compressedPart = (file: Uint8Array) => format === "vmdk" ? file.subarray(128 * 512) : file;
    const files: Uint8Array[] = [];
    for (const workers of [1, 2, 16]) files.push(compressedPart(await compress({ workers })));
    for (const file of files) assert.equal(Buffer.compare(file, files[0]), 0);
    const [low, high] = [await compress({ compressionLevel: 1 }), await compress({ compressionLevel: 9 })];
    assert.ok(high.length < low.length, `level 9: ${high.length}, level 1: ${low.length}`);
    await assert.rejects(compress({ compressionLevel: most + 1 }), { kind: "usage" });
  });
}

Deno.test("where workers fail, a pool goes on alone; where it is cancelled, it does not", async () => {
  for (const kind of ["io", "cancelled"] as const) {
    const error = new ImageError(kind, "the workers are gone");
    for (const state of ["ready", "ended"] as const) {
      const io: WorkerPool = {
        count: 2,
        width: 4,
        state,
        ended: state === "ended" ? error : null,
        start: () => {},
        submit: (task) => task.failed(error),
        [Symbol.dispose]: () => {},
      };
      const pool = codecPoolOf(io);
      const cluster = new Uint8Array(65_536).fill(7);
      if (kind === "cancelled") await assert.rejects(pool.compress(DEFLATE, cluster), error);
      else {
        const compressed = await pool.compress(DEFLATE, cluster);
        const again = new Uint8Array(cluster.length);
        assert.equal(await pool.decompress("deflate", compressed!, again), true);
        assert.deepEqual(again, cluster);
      }
    }
  }
});
