/**
 * Workers that have been started, for jobs that are too short to start them.
 *
 * @module
 */
import { type WorkerPool, workerPoolOf } from "../../core/workers/worker_pool.ts";
import { type WorkerIo, workerIo } from "../../core/workers/worker_io.ts";
import { type CodecPool, codecPoolOf } from "../../core/workers/codec_pool.ts";

/** Returns file access by two workers, which accept everything from the first byte on. */
export async function readyWorkerIo(): Promise<WorkerIo> {
  return workerIo(await started(2), { startAfter: 0 });
}

/** Returns a codec pool whose workers are ready; with 1, this thread does everything. */
export async function readyCodecPool(workers?: number): Promise<CodecPool> {
  return codecPoolOf(await started(workers));
}

async function started(workers?: number): Promise<WorkerPool> {
  const pool = workerPoolOf(workers);
  if (pool.count > 1) pool.start();
  while (pool.state === "starting") await new Promise((resolve) => setTimeout(resolve, 5));
  return pool;
}
