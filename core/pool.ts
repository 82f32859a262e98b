/**
 * Workers that pack and unpack. That is what a conversion from or to compressed images spends its time on; each worker
 * takes one core.
 *
 * @module
 */
import { ImageError, inlinePacker, inlineUnpacker, type Packer, packRoom, type Unpacker } from "../formats/mod.ts";
import { type Answer, type Answers, type Order, type Orders, type Work, workerUrl } from "./pool_worker.ts";

/** More would only wait for each other. */
const MAX_WORKERS = 16;

/** A unit as small as this is packed or unpacked here in the time that a message to a worker takes, in bytes. */
const SMALL = 4096;

/** Batches of units at each worker: it need not wait for the next. */
const DEPTH = 2;

/** Units go to a worker and come back in batches of so many guest bytes: a message costs as much as a small unit. */
const BATCH = 512 << 10;

/** What packs and unpacks; disposing ends its workers at once. */
export interface Pool extends Disposable {
  readonly pack: Packer;
  readonly unpack: Unpacker;
  /** How many units are worth handing in together. */
  readonly width: number;
  /** How long packing and unpacking have taken so far, in seconds, all workers together. */
  readonly seconds: Busy;
}

interface Busy {
  readonly pack: number;
  readonly unpack: number;
}

interface Task {
  readonly work: Work;
  /** Guest bytes of the unit. */
  readonly size: number;
  /** Shared memory to put the result into; the slot's own where it is absent. */
  readonly into?: Uint8Array;
  /** `null`: the verb had no result. The view is valid until the callback returns. */
  readonly done: (result: Uint8Array | null) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * A pool of `workers` workers, started when first needed; 1 works in this thread.
 *
 * @param workers default: one for each processor
 *
 * @example
 * ```ts
 * import { workerPool } from "./pool.ts";
 * import assert from "node:assert/strict";
 *
 * using pool = workerPool(2);
 * const unit = new Uint8Array(65536).fill(7);
 * const packed = await pool.pack({ name: "deflate", windowBits: 12, level: -1 }, unit);
 * assert.ok(packed && packed.length < 500);
 * const again = new Uint8Array(65536);
 * assert.equal(await pool.unpack("deflate", packed, again), true);
 * assert.deepEqual(again, unit);
 * ```
 */
export function workerPool(workers: number = navigator.hardwareConcurrency): Pool {
  const count = Math.min(Math.max(1, workers), MAX_WORKERS);
  const inline = inlinePool();
  if (count === 1) return inline;
  let crew: Crew | undefined;
  let over = false;
  const begin = (task: Task) => over ? task.failed(stopped()) : (crew ??= startCrew(count)).take(task);
  return {
    width: count * DEPTH,
    get seconds() {
      const there = crew?.seconds ?? { pack: 0, unpack: 0 };
      return { pack: inline.seconds.pack + there.pack, unpack: inline.seconds.unpack + there.unpack };
    },
    pack: (codec, bytes) => {
      if (bytes.length <= SMALL) return inline.pack(codec, bytes);
      return new Promise((done, failed) => {
        const work: Work = { verb: "pack", codec, bytes, room: packRoom(bytes.length) };
        begin({ work, size: bytes.length, done: (result) => done(result && result.slice()), failed });
      });
    },
    unpack: (codec, bytes, into) => {
      if (into.length <= SMALL) return inline.unpack(codec, bytes, into);
      return new Promise((done, failed) => {
        const work: Work = { verb: "unpack", codec, bytes, room: into.length };
        const isShared = into.buffer instanceof SharedArrayBuffer;
        const finish = (result: Uint8Array | null) => {
          if (result && !isShared) into.set(result);
          done(result !== null);
        };
        begin({ work, size: into.length, ...(isShared && { into }), done: finish, failed });
      });
    },
    [Symbol.dispose]() {
      over = true;
      crew?.end();
    },
  };
}

/**
 * `pack` with another level than the format's usual one.
 *
 * @throws ImageError `usage`, when packing, for a level that the codec does not have
 */
export function leveled(pack: Packer, level: number | undefined): Packer {
  if (level === undefined) return pack;
  return (codec, unit) => {
    const most = codec.name === "zstd" ? 22 : 9;
    if (level >= 1 && level <= most) return pack({ ...codec, level }, unit);
    const name = codec.name === "zstd" ? "zstd" : "zlib";
    return Promise.reject(
      new ImageError("usage", `Cannot compress at level ${level}: ${name} has levels 1 to ${most}`),
    );
  };
}

/** A pool of nobody: works in this thread. */
function inlinePool(): Pool {
  const seconds = { pack: 0, unpack: 0 };
  async function timed<T>(verb: keyof Busy, action: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    try {
      return await action();
    } finally {
      seconds[verb] += (performance.now() - begun) / 1000;
    }
  }
  return {
    width: 1,
    seconds,
    pack: (codec, unit) => timed("pack", () => inlinePacker(codec, unit)),
    unpack: (codec, packed, into) => timed("unpack", () => inlineUnpacker(codec, packed, into)),
    [Symbol.dispose]: () => {},
  };
}

interface Crew {
  readonly seconds: Busy;
  take(task: Task): void;
  end(): void;
}

/** A place for a batch at a worker. */
interface Berth {
  readonly worker: Worker;
  /** The batch under way; empty: the berth is free. */
  tasks: readonly Task[];
  /** Where the results of the batch will be. */
  orders: readonly Order[];
  /** Shared memory for units of a batch whose own memory is not shared, by their number in the batch. */
  readonly inputs: Uint8Array[];
  readonly outputs: Uint8Array[];
}

function startCrew(count: number): Crew {
  const url = workerUrl();
  const workers = Array.from({ length: count }, () => new Worker(url, { type: "module", name: "packer" }));
  const berths = Array.from({ length: count * DEPTH }, (_, index): Berth => ({
    worker: workers[index % count],
    tasks: [],
    orders: [],
    inputs: [],
    outputs: [],
  }));
  const waiting: Task[] = [];
  const seconds = { pack: 0, unpack: 0 };
  let assigning = false;
  const assign = () => {
    assigning = false;
    for (const [index, berth] of berths.entries()) {
      if (waiting.length === 0) return;
      if (berth.tasks.length === 0) send(berth, index, batchOf(waiting));
    }
  };
  const failAll = (error: unknown) => {
    for (const task of [...berths.flatMap((berth) => berth.tasks), ...waiting.splice(0)]) task.failed(error);
    for (const berth of berths) berth.tasks = [];
  };
  for (const worker of workers) {
    worker.onmessage = ({ data }: MessageEvent<Answers>) => {
      const { tasks, orders } = berths[data.berth];
      for (const [at, task] of tasks.entries()) {
        seconds[task.work.verb] += data.answers[at].seconds;
        settle(task, orders[at], data.answers[at]);
      }
      berths[data.berth].tasks = [];
      assign();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      failAll(new ImageError("io", `Cannot pack or unpack: a worker failed: ${event.message}`));
    };
  }
  return {
    seconds,
    take(task) {
      waiting.push(task);
      // What is handed in together goes together.
      if (!assigning) queueMicrotask(assign);
      assigning = true;
    },
    end() {
      for (const worker of workers) worker.terminate();
      URL.revokeObjectURL(url);
      failAll(stopped());
    },
  };
}

function stopped(): ImageError {
  return new ImageError("cancelled", "Cancelled while packing or unpacking");
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

function send(berth: Berth, index: number, tasks: readonly Task[]): void {
  berth.tasks = tasks;
  berth.orders = tasks.map(({ work, into }, at) => {
    const { length, buffer } = work.bytes;
    if (!into) berth.outputs[at] = roomFor(berth.outputs[at], work.room);
    const place = into ?? berth.outputs[at].subarray(0, work.room);
    if (buffer instanceof SharedArrayBuffer) return { work, into: place };
    berth.inputs[at] = roomFor(berth.inputs[at], length);
    berth.inputs[at].set(work.bytes);
    return { work: { ...work, bytes: berth.inputs[at].subarray(0, length) }, into: place };
  });
  berth.worker.postMessage({ berth: index, orders: berth.orders } satisfies Orders);
}

function settle(task: Task, { into }: Order, { length, problem }: Answer): void {
  if (problem !== undefined) task.failed(new ImageError("io", `Cannot ${task.work.verb}: ${problem}`));
  else task.done(length < 0 ? null : into.subarray(0, length));
}

function roomFor(memory: Uint8Array | undefined, length: number): Uint8Array {
  return memory && memory.length >= length ? memory : new Uint8Array(new SharedArrayBuffer(length));
}
