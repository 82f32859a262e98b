/**
 * Workers that pack. Deflating is what a compressing conversion spends its time on; each worker takes one core.
 *
 * @module
 */
import { type Codec, ImageError, inlinePacker, type Packer, packUnit } from "../formats/mod.ts";

/** More would only wait for each other. */
const MAX_WORKERS = 16;

/** Units that wait at each worker, so that it need not wait for the next. */
const DEPTH = 2;

/** A packer with workers behind it; disposing ends them at once. */
export interface Pool extends Disposable {
  readonly pack: Packer;
  /** How many units are worth handing in together. */
  readonly width: number;
  /** How long packing has taken so far, all workers together. */
  readonly seconds: number;
}

interface Task {
  readonly codec: Codec;
  readonly unit: Uint8Array;
  readonly done: (packed: Uint8Array | null) => void;
  readonly failed: (error: unknown) => void;
}

/** What a worker is sent. `unit` and `packed` are views of shared memory: no byte is copied on the way. */
interface Order {
  readonly slot: number;
  readonly codec: Codec;
  readonly unit: Uint8Array;
  readonly packed: Uint8Array;
}

/** What a worker answers: the packed length, -1 where packing does not help, or what went wrong. */
interface Answer {
  readonly slot: number;
  readonly length: number;
  readonly seconds: number;
  readonly problem?: string;
}

/**
 * A pool of `workers` workers, started when first needed; 1 packs in this thread.
 *
 * @param workers default: one for each processor
 *
 * @example
 * ```ts
 * import { packingPool } from "./pool.ts";
 * import assert from "node:assert/strict";
 *
 * using pool = packingPool(2);
 * const packed = await pool.pack({ name: "deflate", windowBits: 12, level: -1 }, new Uint8Array(65536));
 * assert.ok(packed && packed.length < 500);
 * ```
 */
export function packingPool(workers: number = navigator.hardwareConcurrency): Pool {
  const count = Math.min(Math.max(1, workers), MAX_WORKERS);
  if (count === 1) return inlinePool();
  let crew: Crew | undefined;
  return {
    width: count * DEPTH,
    get seconds() {
      return crew?.seconds ?? 0;
    },
    pack: (codec, unit) =>
      new Promise((done, failed) => (crew ??= startCrew(count)).take({ codec, unit, done, failed })),
    [Symbol.dispose]: () => crew?.end(),
  };
}

/** A pool of nobody: packs in this thread. */
function inlinePool(): Pool {
  let seconds = 0;
  return {
    width: 1,
    get seconds() {
      return seconds;
    },
    async pack(codec, unit) {
      const begun = performance.now();
      try {
        return await inlinePacker(codec, unit);
      } finally {
        seconds += (performance.now() - begun) / 1000;
      }
    },
    [Symbol.dispose]: () => {},
  };
}

interface Crew {
  readonly seconds: number;
  take(task: Task): void;
  end(): void;
}

/** One place for a unit on its way: its worker, its shared memory, and the task that uses it. */
interface Slot {
  readonly worker: Worker;
  unit: Uint8Array;
  packed: Uint8Array;
  task: Task | null;
}

function startCrew(count: number): Crew {
  const url = workerUrl();
  const workers = Array.from({ length: count }, () => new Worker(url, { type: "module", name: "packer" }));
  const empty = new Uint8Array(0);
  const slots: Slot[] = Array.from({ length: count * DEPTH }, (_, index) => ({
    worker: workers[index % count],
    unit: empty,
    packed: empty,
    task: null,
  }));
  const waiting: Task[] = [];
  let seconds = 0;
  const assign = () => {
    for (let at = 0; at < slots.length && waiting.length > 0; at++) {
      if (slots[at].task === null) send(slots[at], at, waiting.shift()!);
    }
  };
  const failAll = (error: unknown) => {
    for (const slot of slots) {
      slot.task?.failed(error);
      slot.task = null;
    }
    for (const task of waiting.splice(0)) task.failed(error);
  };
  for (const worker of workers) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      seconds += data.seconds;
      settle(slots[data.slot], data);
      assign();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      failAll(new ImageError("io", `Cannot compress: a worker failed: ${event.message}`));
    };
  }
  return {
    get seconds() {
      return seconds;
    },
    take(task) {
      waiting.push(task);
      assign();
    },
    end() {
      for (const worker of workers) worker.terminate();
      URL.revokeObjectURL(url);
      failAll(new ImageError("cancelled", "Cancelled while compressing"));
    },
  };
}

function send(slot: Slot, index: number, task: Task): void {
  slot.task = task;
  if (slot.packed.length < task.unit.length) slot.packed = shared(task.unit.length);
  let { unit } = task;
  if (!(unit.buffer instanceof SharedArrayBuffer)) {
    if (slot.unit.length < unit.length) slot.unit = shared(unit.length);
    slot.unit.set(unit);
    unit = slot.unit.subarray(0, unit.length);
  }
  slot.worker.postMessage({ slot: index, codec: task.codec, unit, packed: slot.packed } satisfies Order);
}

function settle(slot: Slot, answer: Answer): void {
  const { task } = slot;
  slot.task = null;
  if (!task) return;
  if (answer.problem !== undefined) task.failed(new ImageError("io", `Cannot compress: ${answer.problem}`));
  else task.done(answer.length < 0 ? null : slot.packed.slice(0, answer.length));
}

function shared(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/**
 * The worker's program as a blob: a worker from a file would need read access to this program's own folder.
 */
function workerUrl(): string {
  const text = `import * as zlib from "node:zlib";\n(${serve})(zlib, ${packUnit});`;
  return URL.createObjectURL(new Blob([text], { type: "application/javascript" }));
}

/** Runs in the worker: stands alone, like what it is handed. */
function serve(zlib: Parameters<typeof packUnit>[0], pack: typeof packUnit): void {
  const scope = self as unknown as {
    onmessage: (event: MessageEvent<Order>) => void;
    postMessage(answer: Answer): void;
  };
  scope.onmessage = ({ data: { slot, codec, unit, packed } }) => {
    const begun = performance.now();
    const answer = (length: number, problem?: string) => {
      const seconds = (performance.now() - begun) / 1000;
      scope.postMessage({ slot, length, seconds, ...(problem !== undefined && { problem }) });
    };
    try {
      const result = pack(zlib, codec, unit);
      if (result) packed.set(result);
      answer(result ? result.length : -1);
    } catch (error) {
      answer(-1, String(error));
    }
  };
}
