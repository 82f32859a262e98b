/**
 * Workers that have been started, for jobs that are too short to start them.
 *
 * @module
 */
import { type WorkerPool, workerPoolOf } from "../../core/workers/worker_pool.ts";
import { type WorkerIo, workerIo } from "../../core/workers/worker_io.ts";
import { type CodecPool, codecPoolOf } from "../../core/workers/codec_pool.ts";

/** A workerIo of two that takes everything from the first byte on. */
export async function readyCrew(): Promise<WorkerIo> {
  return workerIo(await started(2), { worth: 0 });
}

/** A pool that sends every unit to its workers; of 1 it works in this thread. */
export async function readyPool(workers?: number): Promise<CodecPool> {
  return codecPoolOf(await started(workers));
}

async function started(workers?: number): Promise<WorkerPool> {
  const crew = workerPoolOf(workers);
  if (crew.count > 1) crew.start();
  while (crew.state === "starting") await new Promise((resolve) => setTimeout(resolve, 5));
  return crew;
}
