/**
 * Packing and unpacking on every core. That is what a conversion from or to compressed images spends its time on.
 *
 * @module
 */
import {
  ImageError,
  ownStreams,
  type Packer,
  packRoom,
  packUnit,
  type Streams,
  type Unpacker,
  unpackUnit,
} from "../../formats/mod.ts";
import { type Crew, crewOf, type Task } from "./worker_pool.ts";
import type { Answer, Work } from "./worker.ts";

/** A unit as small as this is packed or unpacked here in the time that a message to a worker takes, in bytes. */
const SMALL = 4096;

/** Starting the workers takes as long as unpacking so many bytes; packing them takes longer. */
const WORTH = 24 << 20;
const COST = { pack: 4, unpack: 1 };

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

/**
 * A pool of `workers` workers, started when there is enough to do; 1 works in this thread.
 *
 * @param workers default: one for each processor
 *
 * @example
 * ```ts
 * import { workerPool } from "./codec_pool.ts";
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
export function workerPool(workers?: number): Pool {
  return poolOf(crewOf(workers));
}

/** A pool on workers that may do other things as well; disposing ends them. */
export function poolOf(crew: Crew): Pool {
  const seconds = { pack: 0, unpack: 0 };
  let worth = 0;
  /** Whether a unit goes to the workers; until enough has come to start them, and until they have started, none does. */
  const sends = (verb: keyof Busy, length: number): boolean => {
    if (crew.count === 1 || length <= SMALL) return false;
    worth += length * COST[verb];
    if (worth >= WORTH) crew.start();
    return crew.state === "ready";
  };
  const here = async <T>(verb: keyof Busy, action: (run: Streams) => T): Promise<T> => {
    const run = await ownStreams();
    if (crew.ended?.kind === "cancelled") throw crew.ended;
    const begun = performance.now();
    try {
      return action(run);
    } catch (error) {
      throw new ImageError("io", `Cannot ${verb}: ${error}`, { cause: error });
    } finally {
      seconds[verb] += (performance.now() - begun) / 1000;
    }
  };
  /** `own`: the same in this thread, for when the workers are gone. */
  const there = <T>(
    verb: keyof Busy,
    size: number,
    work: Task["work"],
    resultOf: (answer: Answer, work: Work) => T,
    own: () => Promise<T>,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const done = (answer: Answer, work: Work) => {
        seconds[verb] += answer.seconds;
        const { problem } = answer;
        if (problem === undefined) resolve(resultOf(answer, work));
        else reject(new ImageError("io", `Cannot ${verb}: ${problem}`));
      };
      const failed = (error: ImageError) => error.kind === "cancelled" ? reject(error) : resolve(own());
      crew.give({ size, work, done, failed });
    });
  return {
    width: crew.count === 1 ? 1 : crew.width,
    seconds,
    pack(codec, bytes) {
      const length = packRoom(bytes.length);
      const own = () =>
        here("pack", (run) => {
          const into = new Uint8Array(length);
          return packedIn(into, packUnit(run, codec, bytes, into));
        });
      if (!sends("pack", bytes.length)) return own();
      return there(
        "pack",
        bytes.length,
        (memory) => ({ verb: "pack", codec, bytes: memory.shared(bytes), into: memory.take(length) }),
        ({ result }, work) => packedIn(resultIn(work), result as number),
        own,
      );
    },
    unpack(codec, bytes, into) {
      const own = () => here("unpack", (run) => unpackUnit(run, codec, bytes, into));
      if (!sends("unpack", into.length)) return own();
      const isShared = into.buffer instanceof SharedArrayBuffer;
      return there(
        "unpack",
        into.length,
        (memory) => {
          const place = isShared ? into : memory.take(into.length);
          return { verb: "unpack", codec, bytes: memory.shared(bytes), into: place };
        },
        ({ result }, work) => {
          if (result === true && !isShared) into.set(resultIn(work));
          return result === true;
        },
        own,
      );
    },
    [Symbol.dispose]: () => crew[Symbol.dispose](),
  };
}

/** A packed unit of its own memory; `null` where there is none. */
function packedIn(room: Uint8Array, length: number): Uint8Array | null {
  return length < 0 ? null : room.slice(0, length);
}

/** Where a worker has put the result. */
function resultIn(work: Work): Uint8Array {
  return (work as Extract<Work, { into: Uint8Array }>).into;
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
