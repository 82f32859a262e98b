/**
 * Workers that have been started, for jobs that are too short to start them.
 *
 * @module
 */
import { ImageError } from "../../formats/mod.ts";
import { type PoolTask, type WorkerPool, workerPoolOf } from "../../core/workers/worker_pool.ts";
import { type WorkerIo, workerIo } from "../../core/workers/worker_io.ts";
import { type CodecPool, codecPoolOf } from "../../core/workers/codec_pool.ts";

/**
 * Returns file access by two workers, which accept everything from the first byte on. They keep files open by their
 * paths: a test file must not replace one that they have opened.
 */
export async function readyWorkerIo(): Promise<WorkerIo> {
  return workerIo(await ready(2), { startAfter: 0 });
}

/** Returns a codec pool whose workers are ready; with 1, this thread does everything. */
export async function readyCodecPool(workers?: number): Promise<CodecPool> {
  return codecPoolOf(await ready(workers));
}

/** The pools of this test file by number of workers: starting workers takes longer than the jobs of most tests. */
const pools = new Map<number, WorkerPool>();

async function ready(workers?: number): Promise<WorkerPool> {
  const given = workerPoolOf(workers);
  const kept = pools.get(given.count);
  const pool = kept === undefined || kept.ended ? given : kept;
  pools.set(given.count, pool);
  if (pool.count > 1) pool.start();
  while (pool.state === "starting") await new Promise((resolve) => setTimeout(resolve, 5));
  return lent(pool);
}

/** `pool` for one job: disposing fails the tasks of this job as it would end a pool, but leaves the workers running. */
function lent(pool: WorkerPool): WorkerPool {
  let ended: ImageError | null = null;
  const waiting = new Set<PoolTask>();
  return {
    count: pool.count,
    width: pool.width,
    get state() {
      return ended ? "ended" : pool.state;
    },
    get ended() {
      return ended ?? pool.ended;
    },
    start: (least) => pool.start(least),
    submit(task) {
      if (ended) return task.failed(ended);
      waiting.add(task);
      pool.submit({
        size: task.size,
        message: (memory) => task.message(memory),
        done(result, message) {
          if (waiting.delete(task)) task.done(result, message);
        },
        failed(error) {
          if (waiting.delete(task)) task.failed(error);
        },
      });
    },
    [Symbol.dispose]() {
      ended ??= new ImageError("cancelled", "Cancelled while workers were busy");
      for (const task of waiting) {
        waiting.delete(task);
        task.failed(ended);
      }
    },
  };
}
