/**
 * Workers, each of which takes one core: they compress and decompress, and they copy and compare files by themselves. Who gives
 * them work is `pool.ts` and `file_crew.ts`.
 *
 * @module
 */
import { ImageError } from "../../formats/mod.ts";
import { type TaskResult, type WorkerRequest, type WorkerResponse, type WorkerTask, workerUrl } from "./worker.ts";

/** More would only wait for each other. */
const MAX_WORKERS = 16;

/** Batches at each worker: it need not wait for the next. */
export const DEPTH = 2;

/** WorkerTask goes to a worker and comes back in batches of so many guest bytes: a message costs as much as a small unit. */
const BATCH = 512 << 10;

/** Something to be done by a worker. */
export interface Task {
  /** Guest bytes of it. */
  readonly size: number;
  /** What the worker is sent; made when a worker is free. What it needs of `memory` is its own until it is answered. */
  work(memory: SharedMemory): WorkerTask;
  /** Hears how it went; what lies in `memory` is valid until this returns. */
  done(answer: TaskResult, work: WorkerTask): void;
  /** The workers are gone. */
  failed(error: ImageError): void;
}

/** Memory that workers see, used again and again. */
export interface SharedMemory {
  /** `length` bytes with any content. */
  take(length: number): Uint8Array;
  /** `bytes`, copied if workers do not see them where they are. */
  shared(bytes: Uint8Array): Uint8Array;
}

/** Workers; disposing ends them at once. */
export interface WorkerPool extends Disposable {
  /** How many there are, at least 1; one alone is none: the caller does everything itself. */
  readonly count: number;
  /** How many tasks of a batch's size are worth handing in together. */
  readonly width: number;
  /** Whether they have been started, and whether all of them have begun to listen. */
  readonly state: "none" | "starting" | "ready" | "ended";
  /** Why they have ended; `null` while they have not. */
  readonly ended: ImageError | null;
  /** Starts what is missing of `wanted`, by default of all. */
  start(wanted?: number): void;
  /** Hands in a task; starts all where none was started. */
  give(task: Task): void;
}

/** A place for a batch at a worker. */
interface Slot {
  readonly worker: Worker;
  readonly memory: ReturnType<typeof reusedMemory>;
  /** The batch under way; empty: the berth is free. */
  tasks: readonly Task[];
  works: readonly WorkerTask[];
}

/**
 * A crew of `workers` workers, which are started when first needed.
 *
 * @example
 * ```ts
 * import { workerPoolOf } from "./worker_pool.ts";
 * import assert from "node:assert/strict";
 *
 * using crew = workerPoolOf(2);
 * assert.equal(crew.state, "none");
 * assert.equal(crew.width, 4);
 * ```
 */
export function workerPoolOf(workers: number = navigator.hardwareConcurrency): WorkerPool {
  const count = Math.min(Math.max(1, workers), MAX_WORKERS);
  const waiting: Task[] = [];
  const started: Worker[] = [];
  const berths: Slot[] = [];
  let program: string | null = null;
  let listening = 0;
  let ended: ImageError | null = null;
  let assigning = false;

  const assign = () => {
    assigning = false;
    // One batch at every worker before there are two at any.
    for (let depth = 0; depth < DEPTH; depth++) {
      for (let index = depth; index < berths.length && waiting.length > 0; index += DEPTH) {
        if (berths[index].tasks.length === 0) send(berths[index], index, batchOf(waiting));
      }
    }
  };
  const end = (error: ImageError) => {
    if (ended) return;
    ended = error;
    for (const worker of started) worker.terminate();
    if (program !== null) URL.revokeObjectURL(program);
    const tasks = [...berths.splice(0).flatMap((berth) => berth.tasks), ...waiting.splice(0)];
    for (const task of tasks) task.failed(error);
  };
  const heard = (message: WorkerResponse | null) => {
    if (ended) return;
    if (message === null) return void listening++;
    const { tasks, works } = berths[message.berth];
    for (const [at, task] of tasks.entries()) task.done(message.answers[at], works[at]);
    // Whoever hears of a failure may have ended everything.
    if (ended) return;
    berths[message.berth].tasks = [];
    assign();
  };
  const start = (wanted = count) => {
    while (started.length < wanted && !ended) {
      const worker = new Worker(program ??= workerUrl(), { type: "module", name: "diskcast" });
      worker.onmessage = ({ data }: MessageEvent<WorkerResponse | null>) => heard(data);
      worker.onerror = (event) => {
        event.preventDefault();
        end(new ImageError("io", `A worker failed: ${event.message}`));
      };
      started.push(worker);
      for (let depth = 0; depth < DEPTH; depth++) berths.push({ worker, memory: reusedMemory(), tasks: [], works: [] });
    }
  };
  return {
    count,
    width: count * DEPTH,
    get state() {
      if (ended) return "ended";
      if (started.length === 0) return "none";
      return listening < started.length ? "starting" : "ready";
    },
    get ended() {
      return ended;
    },
    start,
    give(task) {
      if (ended) return task.failed(ended);
      if (started.length === 0) start();
      waiting.push(task);
      // What is handed in together goes together.
      if (!assigning) queueMicrotask(assign);
      assigning = true;
    },
    [Symbol.dispose]: () => end(new ImageError("cancelled", "Cancelled while workers were busy")),
  };
}

/** Takes the next tasks that make a batch, at least one. */
function batchOf(waiting: Task[]): Task[] {
  let count = 1;
  for (let size = waiting[0].size; count < waiting.length; count++) {
    size += waiting[count].size;
    if (size > BATCH) break;
  }
  return waiting.splice(0, count);
}

function send(berth: Slot, index: number, tasks: readonly Task[]): void {
  berth.memory.begin();
  berth.tasks = tasks;
  berth.works = tasks.map((task) => task.work(berth.memory));
  berth.worker.postMessage({ berth: index, works: berth.works } satisfies WorkerRequest);
}

/** Memory of which everything is free again after `begin`. */
function reusedMemory(): SharedMemory & { begin(): void } {
  const rooms: Uint8Array[] = [];
  let taken = 0;
  const take = (length: number) => {
    let room = rooms[taken];
    if (!room || room.length < length) room = rooms[taken] = new Uint8Array(new SharedArrayBuffer(length));
    taken++;
    return room.subarray(0, length);
  };
  return {
    begin: () => void (taken = 0),
    take,
    shared(bytes) {
      if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
      const copy = take(bytes.length);
      copy.set(bytes);
      return copy;
    },
  };
}
