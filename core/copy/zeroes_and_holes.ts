/**
 * Steps without data: zeroes that must be written, and guest bytes that are skipped.
 *
 * @module
 */
import { alignDown } from "../../formats/mod.ts";
import type { Copy } from "./job.ts";
import type { Step } from "./plan.ts";

/** Zeroes are written in parts of this many bytes, so that a job can be cancelled where they cost real writes. */
export const ZERO_PART = 64 << 20;

/** Writes zeroes from `start` on; returns the guest byte after the last. */
export async function zero({ pipeline, job, target }: Copy, step: Step, start: number): Promise<number> {
  const end = Math.min(alignDown(start, ZERO_PART) + ZERO_PART, step.end);
  const { compress } = job.traits;
  await pipeline.run({
    piece: { ...step, start, end },
    async write() {
      await target.zero(start, end);
      return 0;
    },
  }, { pieces: compress, writes: compress });
  return end;
}

/** Skips the rest of `step` from `start` on; returns its end. */
export async function skip({ pipeline }: Copy, step: Step, start: number): Promise<number> {
  const piece = { ...step, start };
  await pipeline.run({ piece, write: () => Promise.resolve(0) }, { pieces: true, writes: true });
  return step.end;
}
