/**
 * The copy: one loop for every kind of target. It finds the next step, reads it only if there is something to read, and
 * writes it only if something must be written.
 *
 * @module
 */
import type { ConvertEvent, Totals } from "../events.ts";
import { hashingTarget, hashSkipped } from "./hashing.ts";
import { inlineCopy } from "./inline_copy.ts";
import type { Copy, CopyJob, Mover } from "./job.ts";
import { bufferSizeOf, pieceSizesOf } from "./piece_size.ts";
import { pipelineOf, type SettledPiece } from "./pipeline.ts";
import { type Step, stepsOf } from "./plan.ts";
import { stageTimesOf } from "./stage_times.ts";
import { copyTargetOf } from "./zero_detection.ts";
import { skip, zero } from "./zeroes_and_holes.ts";

/** Guest bytes by action; `zeroes` of the data were found to be zero. */
export type CopyTotals = Totals & { readonly zeroes: number };

/** Copies the whole disk. */
export async function copy(job: CopyJob): Promise<CopyTotals> {
  const totals = { data: 0, zero: 0, skip: 0, zeroes: 0 };
  const pieces = pieceSizesOf(job);
  const pipeline = pipelineOf(job.width, bufferSizeOf(pieces), {
    begin: ({ start, end }) => job.onEvent({ type: "begin", start, end }),
    settled: (piece) => job.onEvent(count(piece, totals)),
  });
  const target = job.hash ? hashingTarget(copyTargetOf(job), job.hash) : copyTargetOf(job);
  const current: Copy = { job, target, pipeline, times: stageTimesOf(job), pieces };
  const skipOrHash = job.hash ? hashSkipped : skip;
  const movers = [...job.movers, inlineCopy].map((moverOf) => moverOf(current));
  try {
    // Find the next step: guest bytes with one status and one action.
    for await (const step of stepsOf(job.source, job.traits, job.policy)) {
      for (let at = step.start; at < step.end;) {
        if (step.action === "skip") {
          // Nothing to read, nothing to write (a digest still needs the bytes).
          at = await skipOrHash(current, step, at);
        } else if (step.action === "zero") {
          // Nothing to read.
          at = await zero(current, step, at);
        } else {
          // Read it, and write what is not zero: the first mover that can.
          at = await move(movers, step, at);
        }
        current.times.report();
        await job.throttle.checkpoint();
      }
    }
    await pipeline.drained();
    current.times.report(true);
  } catch (error) {
    // If an earlier piece has failed, its error is the one to throw.
    await pipeline.drained();
    throw error;
  } finally {
    await pipeline.idle();
  }
  return totals;
}

/** Offers a step to the movers in order; returns the guest byte after the part that the first able one took. */
async function move(movers: readonly Mover[], step: Step, start: number): Promise<number> {
  for (const mover of movers) {
    const end = await mover(step, start);
    if (end !== null) return end;
  }
  throw new Error("No mover takes the step");
}

/** Adds a settled piece to `totals`, and returns its event. */
function count(piece: SettledPiece, totals: { -readonly [name in keyof CopyTotals]: number }): ConvertEvent {
  const { action, kind, start, end, zeroes, seconds } = piece;
  totals[action === "copy" ? "data" : action] += end - start;
  totals.zeroes += zeroes;
  return { type: "extent", action, kind, start, end, zeroes, seconds };
}
