/**
 * Workers that have been started, for jobs that are too short to start them.
 *
 * @module
 */
import { type Crew, crewOf } from "../../core/workers/worker_pool.ts";
import { type FileCrew, fileCrew } from "../../core/workers/worker_io.ts";
import { type Pool, poolOf } from "../../core/workers/codec_pool.ts";

/** A crew of two that takes everything from the first byte on. */
export async function readyCrew(): Promise<FileCrew> {
  return fileCrew(await started(2), { worth: 0 });
}

/** A pool that sends every unit to its workers; of 1 it works in this thread. */
export async function readyPool(workers?: number): Promise<Pool> {
  return poolOf(await started(workers));
}

async function started(workers?: number): Promise<Crew> {
  const crew = crewOf(workers);
  if (crew.count > 1) crew.start();
  while (crew.state === "starting") await new Promise((resolve) => setTimeout(resolve, 5));
  return crew;
}
