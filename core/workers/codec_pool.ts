/**
 * Compressing and decompressing on every core. That is what a conversion from or to compressed images spends its time on.
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
import { type Task, type WorkerPool, workerPoolOf } from "./worker_pool.ts";
import type { TaskResult, WorkerTask } from "./worker.ts";

/** A clusterSize as small as this is compressed or decompressed here in the time that a message to a worker takes, in bytes. */
const SMALL = 4096;

/** Starting the workers takes as long as decompressing so many bytes; compressing them takes longer. */
const WORTH = 24 << 20;
const COST = { compress: 4, decompress: 1 };

/** What compresses and decompresses; disposing ends its workers at once. */
export interface CodecPool extends Disposable {
  readonly compress: Compressor;
  readonly decompress: Decompressor;
  /** How many units are worth handing in together. */
  readonly width: number;
  /** How long compressing and decompressing have taken so far, in seconds, all workers together. */
  readonly seconds: Busy;
}

interface Busy {
  readonly compress: number;
  readonly decompress: number;
}

/**
 * A pool of `workers` workers, started when there is enough to do; 1 works in this thread.
 *
 * @param workers default: one for each processor
 *
 * @example
 * ```ts
 * import { workerPool } from "./codec_pool.ts";
 * import assert from "node:assert/strict";
 *
 * using pool = workerPool(2);
 * const clusterSize = new Uint8Array(65536).fill(7);
 * const compressed = await pool.compress({ name: "deflate", windowBits: 12, level: -1 }, clusterSize);
 * assert.ok(compressed && compressed.length < 500);
 * const again = new Uint8Array(65536);
 * assert.equal(await pool.decompress("deflate", compressed, again), true);
 * assert.deepEqual(again, clusterSize);
 * ```
 */
export function workerPool(workers?: number): CodecPool {
  return codecPoolOf(workerPoolOf(workers));
}

/** A pool on workers that may do other things as well; disposing ends them. */
export function codecPoolOf(crew: WorkerPool): CodecPool {
  const seconds = { compress: 0, decompress: 0 };
  let worth = 0;
  /** Whether a clusterSize goes to the workers; until enough has come to start them, and until they have started, none does. */
  const sends = (verb: keyof Busy, length: number): boolean => {
    if (crew.count === 1 || length <= SMALL) return false;
    worth += length * COST[verb];
    if (worth >= WORTH) crew.start();
    return crew.state === "ready";
  };
  const here = async <T>(verb: keyof Busy, action: (run: Streams) => T): Promise<T> => {
    const run = await ownStreams();
    if (crew.ended?.kind === "cancelled") throw crew.ended;
    const begun = performance.now();
    try {
      return action(run);
    } catch (error) {
      throw new ImageError("io", `Cannot ${verb}: ${error}`, { cause: error });
    } finally {
      seconds[verb] += (performance.now() - begun) / 1000;
    }
  };
  /** `own`: the same in this thread, for when the workers are gone. */
  const there = <T>(
    verb: keyof Busy,
    size: number,
    work: Task["work"],
    resultOf: (answer: TaskResult, work: WorkerTask) => T,
    own: () => Promise<T>,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const done = (answer: TaskResult, work: WorkerTask) => {
        seconds[verb] += answer.seconds;
        const { problem } = answer;
        if (problem === undefined) resolve(resultOf(answer, work));
        else reject(new ImageError("io", `Cannot ${verb}: ${problem}`));
      };
      const failed = (error: ImageError) => error.kind === "cancelled" ? reject(error) : resolve(own());
      crew.give({ size, work, done, failed });
    });
  return {
    width: crew.count === 1 ? 1 : crew.width,
    seconds,
    compress(codec, bytes) {
      const length = compressBound(bytes.length);
      const own = () =>
        here("compress", (run) => {
          const into = new Uint8Array(length);
          return compressedIn(into, compressCluster(run, codec, bytes, into));
        });
      if (!sends("compress", bytes.length)) return own();
      return there(
        "compress",
        bytes.length,
        (memory) => ({ verb: "compress", codec, bytes: memory.shared(bytes), into: memory.take(length) }),
        ({ result }, work) => compressedIn(resultIn(work), result as number),
        own,
      );
    },
    decompress(codec, bytes, into) {
      const own = () => here("decompress", (run) => decompressCluster(run, codec, bytes, into));
      if (!sends("decompress", into.length)) return own();
      const isShared = into.buffer instanceof SharedArrayBuffer;
      return there(
        "decompress",
        into.length,
        (memory) => {
          const place = isShared ? into : memory.take(into.length);
          return { verb: "decompress", codec, bytes: memory.shared(bytes), into: place };
        },
        ({ result }, work) => {
          if (result === true && !isShared) into.set(resultIn(work));
          return result === true;
        },
        own,
      );
    },
    [Symbol.dispose]: () => crew[Symbol.dispose](),
  };
}

/** A compressed clusterSize of its own memory; `null` where there is none. */
function compressedIn(room: Uint8Array, length: number): Uint8Array | null {
  return length < 0 ? null : room.slice(0, length);
}

/** Where a worker has put the result. */
function resultIn(work: WorkerTask): Uint8Array {
  return (work as Extract<WorkerTask, { into: Uint8Array }>).into;
}

/**
 * `compress` with another level than the format's usual one.
 *
 * @throws ImageError `usage`, when compressing, for a level that the codec does not have
 */
export function leveled(compress: Compressor, level: number | undefined): Compressor {
  if (level === undefined) return compress;
  return (codec, unit) => {
    const most = codec.name === "zstd" ? 22 : 9;
    if (level >= 1 && level <= most) return compress({ ...codec, level }, unit);
    const name = codec.name === "zstd" ? "zstd" : "zlib";
    return Promise.reject(
      new ImageError("usage", `Cannot compress at level ${level}: ${name} has levels 1 to ${most}`),
    );
  };
}
