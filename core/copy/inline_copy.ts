/**
 * Inline copy: this thread reads a piece, finds the zeroes in it, and writes the rest. This mover takes every step, and
 * is the fallback of the others.
 *
 * @module
 */
import { alignDown } from "../../formats/mod.ts";
import type { Copy, Mover } from "./job.ts";
import type { Step } from "./plan.ts";
import { readStep } from "./read_step.ts";

/** Returns inline copy as a mover. */
export function inlineCopy(copy: Copy): Mover {
  return async (step, start) => {
    const end = pieceEnd(copy, step, start);
    // Several pieces are in flight where clusters are compressed or decompressed. Elsewhere it is one, whose bytes stay
    // in the cache between reading and writing.
    const { compress } = copy.job.traits;
    await copy.pipeline.run({
      piece: { ...step, start, end },
      read: (buffer) => readPiece(copy, step, start, buffer.subarray(0, end - start)),
      write: (buffer) => writePiece(copy, buffer.subarray(0, end - start), start),
    }, { pieces: compress || step.compressed, writes: compress });
    return end;
  };
}

/** Copies `[start, end)` of a step, outside of the pipeline; returns how many bytes were zero. */
export async function copyInline(
  copy: Copy,
  step: Step,
  start: number,
  end: number,
  allocate: (length: number) => Uint8Array,
): Promise<number> {
  let zeroes = 0;
  let buffer: Uint8Array | undefined;
  for (let at = start; at < end;) {
    const partEnd = Math.min(pieceEnd(copy, step, at), end);
    buffer ??= allocate(Math.max(partEnd - at, step.compressed ? copy.pieces.compressed : copy.pieces.plain));
    const bytes = buffer.subarray(0, partEnd - at);
    await readPiece(copy, step, at, bytes);
    zeroes += await writePiece(copy, bytes, at);
    at = partEnd;
  }
  return zeroes;
}

function pieceEnd({ pieces }: Copy, step: Step, start: number): number {
  const length = step.compressed ? pieces.compressed : pieces.plain;
  return Math.min(alignDown(start, length) + length, step.end);
}

function readPiece({ job, times }: Copy, step: Step, start: number, into: Uint8Array): Promise<void> {
  return times.time("read", () => readStep(job.source, step, start, into));
}

function writePiece({ target, times }: Copy, bytes: Uint8Array, start: number): Promise<number> {
  return times.time("write", () => target.write(bytes, start));
}
