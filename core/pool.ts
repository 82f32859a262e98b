/**
 * Workers that pack and unpack. That is what a conversion from or to compressed images spends its time on; each worker
 * takes one core.
 *
 * @module
 */
import {
  type Codec,
  ImageError,
  inlinePacker,
  inlineUnpacker,
  type PackedWith,
  type Packer,
  packUnit,
  type Unpacker,
  unpackUnit,
} from "../formats/mod.ts";

/** More would only wait for each other. */
const MAX_WORKERS = 16;

/** A unit as small as this is packed or unpacked here in the time that a message to a worker takes, in bytes. */
const SMALL = 4096;

/** Units that wait at each worker, so that it need not wait for the next. */
const DEPTH = 2;

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

/** What is to be done with the bytes of a unit; a result of `room` bytes at most. */
type Work =
  | { readonly verb: "pack"; readonly codec: Codec; readonly bytes: Uint8Array; readonly room: number }
  | { readonly verb: "unpack"; readonly codec: PackedWith; readonly bytes: Uint8Array; readonly room: number };

interface Task {
  readonly work: Work;
  /** Shared memory to put the result into; the slot's own where it is absent. */
  readonly into?: Uint8Array;
  /** `null`: the verb had no result. The view is valid until the callback returns. */
  readonly done: (result: Uint8Array | null) => void;
  readonly failed: (error: unknown) => void;
}

/** What a worker is sent. The views are of shared memory: no byte is copied on the way. */
interface Order {
  readonly slot: number;
  readonly work: Work;
  readonly into: Uint8Array;
}

/** What a worker answers: the length of the result, -1 where there is none, or what went wrong. */
interface Answer {
  readonly slot: number;
  readonly length: number;
  readonly seconds: number;
  readonly problem?: string;
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
        const work: Work = { verb: "pack", codec, bytes, room: bytes.length };
        begin({ work, done: (result) => done(result && result.slice()), failed });
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
        begin({ work, ...(isShared && { into }), done: finish, failed });
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

/** One place for a unit on its way: its worker, its shared memory, and the task that uses it. */
interface Slot {
  readonly worker: Worker;
  input: Uint8Array;
  output: Uint8Array;
  /** Where the result of the task under way will be. */
  into: Uint8Array;
  task: Task | null;
}

function startCrew(count: number): Crew {
  const url = workerUrl();
  const workers = Array.from({ length: count }, () => new Worker(url, { type: "module", name: "packer" }));
  const empty = new Uint8Array(0);
  const slots: Slot[] = Array.from({ length: count * DEPTH }, (_, index) => ({
    worker: workers[index % count],
    input: empty,
    output: empty,
    into: empty,
    task: null,
  }));
  const waiting: Task[] = [];
  const seconds = { pack: 0, unpack: 0 };
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
      const slot = slots[data.slot];
      if (slot.task) seconds[slot.task.work.verb] += data.seconds;
      settle(slot, data);
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
      assign();
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

function send(slot: Slot, index: number, task: Task): void {
  slot.task = task;
  let { work } = task;
  if (!(work.bytes.buffer instanceof SharedArrayBuffer)) {
    slot.input = roomFor(slot.input, work.bytes.length);
    slot.input.set(work.bytes);
    work = { ...work, bytes: slot.input.subarray(0, work.bytes.length) };
  }
  if (!task.into) slot.output = roomFor(slot.output, work.room);
  slot.into = task.into ?? slot.output.subarray(0, work.room);
  slot.worker.postMessage({ slot: index, work, into: slot.into } satisfies Order);
}

function settle(slot: Slot, answer: Answer): void {
  const { task, into } = slot;
  slot.task = null;
  if (!task) return;
  if (answer.problem !== undefined) task.failed(new ImageError("io", `Cannot ${task.work.verb}: ${answer.problem}`));
  else task.done(answer.length < 0 ? null : into.subarray(0, answer.length));
}

function roomFor(memory: Uint8Array, length: number): Uint8Array {
  return memory.length >= length ? memory : new Uint8Array(new SharedArrayBuffer(length));
}

/**
 * The worker's program as a blob: a worker from a file would need read access to this program's own folder.
 */
function workerUrl(): string {
  const text = `import * as zlib from "node:zlib";\n(${serve})(zlib, ${packUnit}, ${unpackUnit});`;
  return URL.createObjectURL(new Blob([text], { type: "application/javascript" }));
}

/** Runs in the worker: stands alone, like what it is handed. */
function serve(zlib: Parameters<typeof packUnit>[0], pack: typeof packUnit, unpack: typeof unpackUnit): void {
  const scope = self as unknown as {
    onmessage: (event: MessageEvent<Order>) => void;
    postMessage(answer: Answer): void;
  };
  const carryOut = ({ work, into }: Order): number => {
    if (work.verb === "unpack") return unpack(zlib, work.codec, work.bytes, into) ? into.length : -1;
    const packed = pack(zlib, work.codec, work.bytes);
    if (packed) into.set(packed);
    return packed ? packed.length : -1;
  };
  scope.onmessage = ({ data }) => {
    const begun = performance.now();
    const answer = (length: number, problem?: string) => {
      const seconds = (performance.now() - begun) / 1000;
      scope.postMessage({ slot: data.slot, length, seconds, ...(problem !== undefined && { problem }) });
    };
    try {
      answer(carryOut(data));
    } catch (error) {
      answer(-1, String(error));
    }
  };
}
