/**
 * Workers read located data and compute the digests of its blocks. Digests come in the order of the disk, whichever
 * worker is done first.
 *
 * @module
 */
import { alignDown, pageMemory, PIECE } from "../../formats/mod.ts";
import { HASH_BLOCK } from "../workers/hash_blocks.ts";
import { WORKER_PIECE, type WorkerIo } from "../workers/worker_io.ts";
import type { BlocksHasher, Hasher, MoverOf } from "./job.ts";
import type { Step } from "./plan.ts";
import { readStep } from "./read_step.ts";
import { fileRangesOf } from "./worker_copy.ts";

/** Returns whether a digest takes the digests of blocks. */
export function isBlocksHasher(hash: Hasher): hash is BlocksHasher {
  return "blocks" in hash;
}

/** Returns a mover for a copy that discards its bytes, whose `hash` is that of the job. */
export function hashBy(workers: WorkerIo, hash: BlocksHasher): MoverOf {
  return ({ job, pipeline, times }) => async (step, start) => {
    if (step.compressed || start % HASH_BLOCK !== 0) return null;
    const limit = Math.min(alignDown(start, WORKER_PIECE) + WORKER_PIECE, step.end);
    // Until the workers are ready, inline copy takes a piece of this length.
    if (!workers.accepts(Math.min(alignDown(start, PIECE) + PIECE, limit) - start)) return null;
    const ranges = fileRangesOf(step, start, limit);
    // A block that goes on in the next step is hashed by this thread.
    const end = ranges.end === job.source.size ? ranges.end : alignDown(ranges.end, HASH_BLOCK);
    if (end <= start) return null;
    const from = end === ranges.end ? ranges.from : fileRangesOf(step, start, end).from;
    const result = workers.hash({ from });
    const write = async () => {
      const hashed = await result;
      if (hashed) {
        times.add(hashed);
        hash.blocks(hashed.digests, end - start);
      } else await hashHere(step, start, end);
      return 0;
    };
    await pipeline.run({ piece: { ...step, start, end }, write }, { pieces: true, writes: false });
    return end;

    async function hashHere(step: Step, start: number, end: number): Promise<void> {
      const buffer = pageMemory(Math.min(PIECE, end - start));
      for (let at = start; at < end; at += buffer.length) {
        const bytes = buffer.subarray(0, Math.min(buffer.length, end - at));
        await readStep(job.source, step, at, bytes);
        hash.data(bytes);
      }
    }
  };
}
