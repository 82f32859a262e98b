/**
 * Workers that read and write files themselves: data with a location in the source, or compressed, and with a fixed
 * location in the target, is copied on every core, each piece within the cache of one.
 *
 * A worker reports only that it has failed. This thread then does the work itself, meets the same fault, and throws the
 * error for it.
 *
 * @module
 */
import type { Storage } from "../../formats/mod.ts";
import type {
  CompareRequest,
  Copied,
  CopyRequest,
  DecompressIntoRequest,
  FileRange,
  Hashed,
  HashRequest,
  TaskResult,
  WorkerTask,
} from "./protocol.ts";
import { BATCHES_PER_WORKER, type PoolTask, type SharedMemory, type WorkerPool } from "./worker_pool.ts";

export type { CompareRequest, Copied, CopyRequest, DecompressIntoRequest, FileRange };

/** Workers with access to files. */
export interface WorkerIo extends Disposable {
  /** The number of requests in flight that keeps all workers busy. */
  readonly width: number;
  /**
   * Counts the next `length` bytes of a job, and returns whether they should go to the workers. Only long jobs start
   * workers, and until these are ready the caller does the work itself.
   */
  accepts(length: number): boolean;
  /** Announces that the job may have `length` bytes: a long job starts the workers early. */
  expect(length: number): void;
  /** Copies; null where the caller must. */
  copy(request: CopyRequest): Promise<Copied | null>;
  /** Decompresses and writes; null where the caller must. */
  decompressInto(request: DecompressIntoRequest): Promise<Copied | null>;
  /**
   * Returns the first byte that differs, counted from the start of both, -1 where none does; null where the caller
   * must.
   */
  compare(request: CompareRequest): Promise<number | null>;
  /** Hashes blocks; null where the caller must. */
  hash(request: HashRequest): Promise<Hashed | null>;
}

/** Most bytes of one request: large enough for few messages, small enough to cancel a job soon. */
export const WORKER_PIECE = 4 << 20;

/** A job starts the workers after this many bytes: in the time that starting takes, workers copy as many. */
const START_AFTER = 64 << 20;

/** A job of this many times {@linkcode START_AFTER} is long, and starts the workers after a fraction of it. */
const LONG_JOB = 4;
const EARLY_FRACTION = 1 / 16;

/** When workers are started, and how many. */
interface WorkerIoOptions {
  /** Bytes after which they are started; workers that another user of the pool has started are used earlier. */
  readonly startAfter?: number;
  /** Fewer than all where the caller works beside them. */
  readonly workers?: number;
}

/** Returns file access by the workers of `pool`, none where the pool has one worker; disposing ends the pool. */
export function workerIo(
  pool: WorkerPool,
  { startAfter = START_AFTER, workers = pool.count }: WorkerIoOptions = {},
): WorkerIo {
  let offered = 0;
  let startAt = startAfter;
  let failed = Deno.build.os === "windows" || pool.count < 2;

  const submit = (message: PoolTask["message"], size: number): Promise<TaskResult["value"]> => {
    if (failed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const done = ({ value }: TaskResult) => {
        // The fault, such as a missing permission, is the same in every worker.
        if (value === null) failed = true;
        resolve(value);
      };
      pool.submit({ size, message, done, failed: () => done({ value: null, seconds: 0 }) });
    });
  };
  return {
    width: workers * BATCHES_PER_WORKER,
    accepts(length) {
      offered += length;
      if (failed) return false;
      if (offered >= startAt) pool.start(workers);
      return pool.state === "ready";
    },
    expect(length) {
      if (length >= LONG_JOB * startAfter) startAt = startAfter * EARLY_FRACTION;
    },
    copy: (request) => submit(() => ({ verb: "copy", request }), lengthOf(request.from)) as Promise<Copied | null>,
    decompressInto(request) {
      const message = (memory: SharedMemory): WorkerTask => {
        const clusters = request.clusters.map((cluster) => ({ ...cluster, bytes: memory.shared(cluster.bytes) }));
        return { verb: "decompressInto", request: { ...request, clusters } };
      };
      return submit(message, lengthOf(request.clusters)) as Promise<Copied | null>;
    },
    compare: (request) => submit(() => ({ verb: "compare", request }), request.length) as Promise<number | null>,
    hash: (request) => submit(() => ({ verb: "hash", request }), lengthOf(request.from)) as Promise<Hashed | null>,
    [Symbol.dispose]: () => pool[Symbol.dispose](),
  };
}

/** Returns the bytes of all parts. */
function lengthOf(parts: readonly { readonly length: number }[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/**
 * Returns where workers find byte `offset` of `storage`; null where they cannot open it. Without an identity, a worker
 * could not check that the path still names the same file.
 */
export function fileRangeOf({ origin }: Storage, offset: number): FileRange | null {
  if (!origin?.identity) return null;
  return { path: origin.path, identity: origin.identity, offset: origin.start + offset };
}
