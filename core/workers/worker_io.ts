/**
 * Workers that read and write files by themselves: bytes that lie plainly in the source, or compressed, and have a fixed
 * place in the target, are copied on every core, each piece within the cache of one.
 *
 * Whatever a worker cannot do is done again by the thread that has sent it, which then finds the same fault, and has the
 * words for it. So a worker only ever says whether it has done its work.
 *
 * @module
 */
import type { Storage } from "../../formats/mod.ts";
import { DEPTH, type SharedMemory, type Task, type WorkerPool } from "./worker_pool.ts";
import type { TaskResult, WorkerTask } from "./worker.ts";
import type { CompareRequest, Copied, CopyRequest, DecompressIntoRequest, FilePlace } from "./file_requests.ts";

export type {
  CompareRequest as CompareOrder,
  Copied,
  CopyRequest as CopyOrder,
  DecompressIntoRequest as UnloadOrder,
  FilePlace,
};

/** Workers that copy. */
export interface WorkerIo extends Disposable {
  /** How many orders are worth giving at once. */
  readonly width: number;
  /**
   * Whether the next `length` bytes of a job should go to the workers: only long jobs are worth starting them, and until
   * they have started the caller goes on alone.
   */
  takes(length: number): boolean;
  /** Tells that the job may have `length` bytes: for a long one the workers are started soon. */
  expects(length: number): void;
  /** Copies; `null` where the caller must. */
  copy(order: CopyRequest): Promise<Copied | null>;
  /** Decompresses, and writes what that gives; `null` where the caller must. */
  unload(order: DecompressIntoRequest): Promise<Copied | null>;
  /** The first byte, counted from the start of both, that differs; -1 where none does; `null` where the caller must look. */
  compare(order: CompareRequest): Promise<number | null>;
}

/** What a worker takes at once, in bytes: few messages, and a stop is heard soon. */
export const CREW_PIECE = 4 << 20;

/** After so many bytes of one job the workers are started: in the time that this takes they copy as many. */
const WORTH = 64 << 20;

/** A job is long if it has so many times as much; then they are started after one part in `SOON`. */
const LONG = 4;
const SOON = 16;

/** When workers are started, and how many. */
interface CrewUse {
  /** For so many bytes nobody is; workers that others have started are welcome before. */
  readonly worth?: number;
  /** Fewer than all where the caller works beside them. */
  readonly workers?: number;
}

/** What `workerIo` does with files, nothing where one worker is wanted; disposing ends it. */
export function workerIo(crew: WorkerPool, { worth = WORTH, workers = crew.count }: CrewUse = {}): WorkerIo {
  let passed = 0;
  let due = worth;
  let failed = Deno.build.os === "windows" || crew.count < 2;

  const give = (work: Task["work"], size: number): Promise<TaskResult["result"]> => {
    if (failed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const done = ({ result }: TaskResult) => {
        // What one worker may not do, none may.
        if (result === null) failed = true;
        resolve(result);
      };
      const gone = () => done({ result: null, seconds: 0 });
      crew.give({ size, work, done, failed: gone });
    });
  };
  return {
    width: workers * DEPTH,
    takes(length) {
      passed += length;
      if (failed) return false;
      if (passed >= due) crew.start(workers);
      return crew.state === "ready";
    },
    expects(length) {
      if (length >= LONG * worth) due = worth / SOON;
    },
    copy: (order) => give(() => ({ verb: "copy", order }), lengthOf(order.from)) as Promise<Copied | null>,
    unload(order) {
      const sharedIn = (memory: SharedMemory) =>
        order.units.map((unit) => ({ ...unit, bytes: memory.shared(unit.bytes) }));
      const work = (memory: SharedMemory): WorkerTask => ({
        verb: "unload",
        order: { ...order, units: sharedIn(memory) },
      });
      return give(work, lengthOf(order.units)) as Promise<Copied | null>;
    },
    compare: (order) => give(() => ({ verb: "compare", order }), order.length) as Promise<number | null>,
    [Symbol.dispose]: () => crew[Symbol.dispose](),
  };
}

/** Guest bytes of all parts. */
export function lengthOf(parts: readonly { readonly length: number }[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** Where workers find byte `fileStart` of `storage`; `null` where they cannot: what has no identity may be another file. */
export function placeIn({ origin }: Storage, fileStart: number): FilePlace | null {
  if (!origin?.identity) return null;
  return { path: origin.path, identity: origin.identity, fileStart: origin.start + fileStart };
}
