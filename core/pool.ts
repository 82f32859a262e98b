/**
 * Packing and unpacking on every core. That is what a conversion from or to compressed images spends its time on.
 *
 * @module
 */
import { ImageError, inlinePacker, inlineUnpacker, type Packer, packRoom, type Unpacker } from "../formats/mod.ts";
import { type Crew, crewOf, type Task } from "./crew.ts";
import type { Answer, Work } from "./crew_worker.ts";

/** A unit as small as this is packed or unpacked here in the time that a message to a worker takes, in bytes. */
const SMALL = 4096;

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
export function workerPool(workers?: number): Pool {
  return poolOf(crewOf(workers));
}

/** A pool on workers that may do other things as well; disposing ends them. */
export function poolOf(crew: Crew): Pool {
  const inline = inlinePool();
  if (crew.count === 1) return { ...inline, [Symbol.dispose]: () => crew[Symbol.dispose]() };
  const busy = { pack: 0, unpack: 0 };
  const give = <T>(
    verb: keyof Busy,
    size: number,
    work: Task["work"],
    resultOf: (answer: Answer, work: Work) => T,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const done = (answer: Answer, work: Work) => {
        busy[verb] += answer.seconds;
        const { problem } = answer;
        if (problem === undefined) resolve(resultOf(answer, work));
        else reject(new ImageError("io", `Cannot ${verb}: ${problem}`));
      };
      crew.give({ size, work, done, failed: reject });
    });
  return {
    width: crew.width,
    get seconds() {
      return { pack: inline.seconds.pack + busy.pack, unpack: inline.seconds.unpack + busy.unpack };
    },
    pack(codec, bytes) {
      if (bytes.length <= SMALL) return inline.pack(codec, bytes);
      const into = packRoom(bytes.length);
      return give(
        "pack",
        bytes.length,
        (memory) => ({ verb: "pack", codec, bytes: memory.shared(bytes), into: memory.take(into) }),
        ({ result }, work) => typeof result === "number" && result >= 0 ? resultIn(work).slice(0, result) : null,
      );
    },
    unpack(codec, bytes, into) {
      if (into.length <= SMALL) return inline.unpack(codec, bytes, into);
      const isShared = into.buffer instanceof SharedArrayBuffer;
      return give(
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
      );
    },
    [Symbol.dispose]: () => crew[Symbol.dispose](),
  };
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
