/**
 * A pool of workers, each on a core of its own, for `codec_pool.ts` and `worker_io.ts`.
 *
 * @module
 */
import { ImageError } from "../../formats/mod.ts";
import type { TaskResult, WorkerRequest, WorkerResponse, WorkerTask } from "./protocol.ts";

/** Most workers; more of them would only wait for each other. */
const WORKERS_MAX = 16;

/** Batches in flight at each worker: the next one is there when it has finished one. */
export const BATCHES_PER_WORKER = 2;

/** Guest bytes of a batch: a message costs as much as the work on a small cluster. */
const BATCH_BYTES = 512 << 10;

/** Work for a worker. */
export interface PoolTask {
  /** Guest bytes. */
  readonly size: number;
  /** Returns the message, once a worker is free; it may use `memory` until the result comes. */
  message(memory: SharedMemory): WorkerTask;
  /** Called with the result; the memory that `message` has used is valid until this returns. */
  done(result: TaskResult, message: WorkerTask): void;
  /** Called where the pool has ended before the result came. */
  failed(error: ImageError): void;
}

/** Memory that this thread and its workers share, reused by each batch. */
export interface SharedMemory {
  /** Returns `length` bytes with any content. */
  take(length: number): Uint8Array;
  /** Returns `bytes` if they are in shared memory, else a copy that is. */
  shared(bytes: Uint8Array): Uint8Array;
}

/** A pool of workers; disposing ends them at once. */
export interface WorkerPool extends Disposable {
  /** The most workers, at least 1; with 1 no worker is started, and the caller does all work itself. */
  readonly count: number;
  /** The number of tasks of a batch's size that keeps all workers busy. */
  readonly width: number;
  /** `starting`: some workers are not yet ready for requests. */
  readonly state: "none" | "starting" | "ready" | "ended";
  /** Why the pool has ended; null while it has not. */
  readonly ended: ImageError | null;
  /** Starts workers until there are `least`, by default all. */
  start(least?: number): void;
  /** Queues a task; starts all workers where none was started. */
  submit(task: PoolTask): void;
}

/** Room for one batch at a worker. */
interface Slot {
  readonly worker: Worker;
  readonly memory: ReturnType<typeof reusedMemory>;
  /** The batch in flight; empty: the slot is free. */
  tasks: readonly PoolTask[];
  messages: readonly WorkerTask[];
}

/**
 * Returns a pool of `workers` workers, which are started when first needed.
 *
 * @example
 * ```ts
 * import { workerPoolOf } from "./worker_pool.ts";
 * import assert from "node:assert/strict";
 *
 * using pool = workerPoolOf(2);
 * assert.equal(pool.state, "none");
 * assert.equal(pool.width, 4);
 * ```
 */
export function workerPoolOf(workers: number = navigator.hardwareConcurrency): WorkerPool {
  const count = Math.min(Math.max(1, workers), WORKERS_MAX);
  const queue: PoolTask[] = [];
  const started: Worker[] = [];
  const slots: Slot[] = [];
  let program: string | null = null;
  let wanted = 0;
  let ready = 0;
  let ended: ImageError | null = null;
  let scheduled = false;

  const schedule = () => {
    scheduled = false;
    // One batch at every worker before any gets a second one.
    for (let depth = 0; depth < BATCHES_PER_WORKER; depth++) {
      for (let index = depth; index < slots.length && queue.length > 0; index += BATCHES_PER_WORKER) {
        if (slots[index].tasks.length === 0) send(slots[index], index, takeBatch(queue));
      }
    }
  };
  const end = (error: ImageError) => {
    if (ended) return;
    ended = error;
    for (const worker of started) worker.terminate();
    if (program !== null) URL.revokeObjectURL(program);
    const tasks = [...slots.splice(0).flatMap((slot) => slot.tasks), ...queue.splice(0)];
    for (const task of tasks) task.failed(error);
  };
  const receive = (response: WorkerResponse | null) => {
    if (ended) return;
    if (response === null) return void ready++;
    const { tasks, messages } = slots[response.slot];
    for (const [index, task] of tasks.entries()) task.done(response.results[index], messages[index]);
    // A failure may have ended the pool.
    if (ended) return;
    slots[response.slot].tasks = [];
    schedule();
  };
  /** Starts workers until there are as many as wanted. */
  const launch = async () => {
    try {
      program ??= (await import("./program.ts")).workerProgramUrl();
    } catch (error) {
      return end(new ImageError("io", `Cannot start workers: ${error}`, { cause: error }));
    }
    while (started.length < wanted && !ended) {
      const worker = new Worker(program, { type: "module", name: "diskcast" });
      worker.onmessage = ({ data }: MessageEvent<WorkerResponse | null>) => receive(data);
      worker.onerror = (event) => {
        event.preventDefault();
        end(new ImageError("io", `A worker failed: ${event.message}`));
      };
      started.push(worker);
      for (let depth = 0; depth < BATCHES_PER_WORKER; depth++) {
        slots.push({ worker, memory: reusedMemory(), tasks: [], messages: [] });
      }
    }
    if (ended) URL.revokeObjectURL(program);
    else schedule();
  };
  const start = (least = count) => {
    if (ended || least <= wanted) return;
    wanted = least;
    launch();
  };
  return {
    count,
    width: count * BATCHES_PER_WORKER,
    get state() {
      if (ended) return "ended";
      if (wanted === 0) return "none";
      return ready < wanted ? "starting" : "ready";
    },
    get ended() {
      return ended;
    },
    start,
    submit(task) {
      if (ended) return task.failed(ended);
      if (wanted === 0) start();
      queue.push(task);
      // Tasks that are submitted together go into one batch.
      if (!scheduled) queueMicrotask(schedule);
      scheduled = true;
    },
    [Symbol.dispose]: () => end(new ImageError("cancelled", "Cancelled while workers were busy")),
  };
}

/** Removes the first tasks that fill a batch, at least one. */
function takeBatch(queue: PoolTask[]): PoolTask[] {
  let count = 1;
  for (let size = queue[0].size; count < queue.length; count++) {
    size += queue[count].size;
    if (size > BATCH_BYTES) break;
  }
  return queue.splice(0, count);
}

function send(slot: Slot, index: number, tasks: readonly PoolTask[]): void {
  slot.memory.reset();
  slot.tasks = tasks;
  slot.messages = tasks.map((task) => task.message(slot.memory));
  slot.worker.postMessage({ slot: index, tasks: slot.messages } satisfies WorkerRequest);
}

/** Returns shared memory that can all be taken again after `reset`. */
function reusedMemory(): SharedMemory & { reset(): void } {
  const buffers: Uint8Array[] = [];
  let taken = 0;
  const take = (length: number) => {
    let buffer = buffers[taken];
    if (!buffer || buffer.length < length) buffer = buffers[taken] = new Uint8Array(new SharedArrayBuffer(length));
    taken++;
    return buffer.subarray(0, length);
  };
  return {
    reset: () => void (taken = 0),
    take,
    shared(bytes) {
      if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
      const copy = take(bytes.length);
      copy.set(bytes);
      return copy;
    },
  };
}
