/**
 * Compression and decompression on every core, where conversions from or to compressed images spend their time.
 *
 * @module
 */
import {
  compressBound,
  compressCluster,
  type Compressor,
  decompressCluster,
  type Decompressor,
  ImageError,
  ownStreams,
  type Streams,
} from "../../formats/mod.ts";
import type { TaskResult, WorkerTask } from "./protocol.ts";
import { type PoolTask, type WorkerPool, workerPoolOf } from "./worker_pool.ts";

/** Most bytes of a cluster that stays in this thread: a message to a worker takes as long as its work. */
const SMALL = 4096;

/** The workers start once this thread has decompressed this many bytes: starting them takes as long. */
const START_AFTER = 24 << 20;

/** Time for a byte, relative to decompressing it. */
const COST = { compress: 4, decompress: 1 };

/** A compressor and a decompressor; disposing ends their workers at once. */
export interface CodecPool extends Disposable {
  readonly compress: Compressor;
  readonly decompress: Decompressor;
  /** The number of clusters in flight that keeps all workers busy. */
  readonly width: number;
  /** Seconds spent so far, all threads together. */
  readonly seconds: CodecSeconds;
}

interface CodecSeconds {
  readonly compress: number;
  readonly decompress: number;
}

/**
 * Returns a codec pool with workers of its own, which are started when there is enough to do; with 1, this thread does
 * everything.
 *
 * @param workers default: one for each processor
 *
 * @example
 * ```ts
 * import { codecPool } from "./codec_pool.ts";
 * import assert from "node:assert/strict";
 *
 * using pool = codecPool(2);
 * const cluster = new Uint8Array(65536).fill(7);
 * const compressed = await pool.compress({ name: "deflate", windowBits: 12, level: -1 }, cluster);
 * assert.ok(compressed && compressed.length < 500);
 * const again = new Uint8Array(65536);
 * assert.equal(await pool.decompress("deflate", compressed, again), true);
 * assert.deepEqual(again, cluster);
 * ```
 */
export function codecPool(workers?: number): CodecPool {
  return codecPoolOf(workerPoolOf(workers));
}

/** Returns a codec pool on workers that may do other work as well; disposing ends them. */
export function codecPoolOf(workers: WorkerPool): CodecPool {
  const seconds = { compress: 0, decompress: 0 };
  let cost = 0;
  /** Whether a cluster goes to the workers: none does until enough work has come to start them, and they are ready. */
  const usesWorkers = (verb: keyof CodecSeconds, length: number): boolean => {
    if (workers.count === 1 || length <= SMALL) return false;
    cost += length * COST[verb];
    if (cost >= START_AFTER) workers.start();
    return workers.state === "ready";
  };
  const runHere = async <T>(verb: keyof CodecSeconds, action: (streams: Streams) => T): Promise<T> => {
    const streams = await ownStreams();
    if (workers.ended?.kind === "cancelled") throw workers.ended;
    const begun = performance.now();
    try {
      return action(streams);
    } catch (error) {
      throw new ImageError("io", `Cannot ${verb}: ${error}`, { cause: error });
    } finally {
      seconds[verb] += (performance.now() - begun) / 1000;
    }
  };
  /** Submits a task; if a worker fails, `inThisThread` does the same work. */
  const runByWorker = <T>(
    verb: keyof CodecSeconds,
    size: number,
    message: PoolTask["message"],
    valueOf: (result: TaskResult, message: WorkerTask) => T,
    inThisThread: () => Promise<T>,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const done = (result: TaskResult, message: WorkerTask) => {
        seconds[verb] += result.seconds;
        if (result.problem === undefined) resolve(valueOf(result, message));
        else reject(new ImageError("io", `Cannot ${verb}: ${result.problem}`));
      };
      const failed = (error: ImageError) => error.kind === "cancelled" ? reject(error) : resolve(inThisThread());
      workers.submit({ size, message, done, failed });
    });
  return {
    width: workers.count === 1 ? 1 : workers.width,
    seconds,
    compress(codec, bytes) {
      const bound = compressBound(bytes.length);
      const inThisThread = () =>
        runHere("compress", (streams) => {
          const into = new Uint8Array(bound);
          return resultOf(into, compressCluster(streams, codec, bytes, into));
        });
      if (!usesWorkers("compress", bytes.length)) return inThisThread();
      return runByWorker(
        "compress",
        bytes.length,
        (memory) => ({ verb: "compress", codec, bytes: memory.shared(bytes), into: memory.take(bound) }),
        ({ value }, message) => resultOf(outputOf(message), value as number),
        inThisThread,
      );
    },
    decompress(codec, bytes, into) {
      const inThisThread = () => runHere("decompress", (streams) => decompressCluster(streams, codec, bytes, into));
      if (!usesWorkers("decompress", into.length)) return inThisThread();
      const isShared = into.buffer instanceof SharedArrayBuffer;
      return runByWorker(
        "decompress",
        into.length,
        (memory) => {
          const output = isShared ? into : memory.take(into.length);
          return { verb: "decompress", codec, bytes: memory.shared(bytes), into: output };
        },
        ({ value }, message) => {
          if (value === true && !isShared) into.set(outputOf(message));
          return value === true;
        },
        inThisThread,
      );
    },
    [Symbol.dispose]: () => workers[Symbol.dispose](),
  };
}

/** Returns a copy of the first `length` bytes of `output`; null where there is no result. */
function resultOf(output: Uint8Array, length: number): Uint8Array | null {
  return length < 0 ? null : output.slice(0, length);
}

/** The memory in which a worker has put its result. */
function outputOf(message: WorkerTask): Uint8Array {
  return (message as Extract<WorkerTask, { into: Uint8Array }>).into;
}

/**
 * Returns `compress` with another level than the format's usual one.
 *
 * @throws ImageError `usage`, when compressing, for a level that the codec does not have
 */
export function withLevel(compress: Compressor, level: number | undefined): Compressor {
  if (level === undefined) return compress;
  return (codec, cluster) => {
    const max = codec.name === "zstd" ? 22 : 9;
    if (level >= 1 && level <= max) return compress({ ...codec, level }, cluster);
    const name = codec.name === "zstd" ? "zstd" : "zlib";
    return Promise.reject(
      new ImageError("usage", `Cannot compress at level ${level}: ${name} has levels 1 to ${max}`),
    );
  };
}
