/**
 * Inline copy: this thread reads a piece, finds the zeroes in it, and writes the rest. This mover takes every step, and
 * is the fallback of the others.
 *
 * @module
 */
import { alignDown } from "../../formats/mod.ts";
import type { Copy, Mover } from "./job.ts";
import { extentIn, locatedEnd, type Step } from "./plan.ts";

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

/**
 * Fills `into` with the guest bytes of a step from `start` on. Extents with a location are read from their file,
 * without another look-up in the image's tables.
 */
async function readPiece({ job, times }: Copy, step: Step, start: number, into: Uint8Array): Promise<void> {
  const end = start + into.length;
  await times.time("read", async () => {
    for (let at = start; at < end;) {
      const extent = extentIn(step, at);
      const partEnd = Math.min(extent.end, end);
      const part = into.subarray(at - start, partEnd - start);
      const { location } = extent;
      if (extent.kind === "data" && location && partEnd <= locatedEnd(extent)) {
        await location.storage.readAt(part, location.offset + at - extent.start);
        at = partEnd;
      } else if (extent.kind === "zero") {
        part.fill(0);
        at = partEnd;
      } else {
        // Only the source can read this: one call up to the next extent with a location.
        const restEnd = unlocatedEnd(step, at, end);
        await job.source.read(into.subarray(at - start, restEnd - start), at);
        at = restEnd;
      }
    }
  });
}

/** Returns the end of the adjoining data extents without location from `start` on, at most `end`. */
function unlocatedEnd(step: Step, start: number, end: number): number {
  let at = extentIn(step, start).end;
  while (at < end && at < step.end && extentIn(step, at).kind === "data" && !extentIn(step, at).location) {
    at = extentIn(step, at).end;
  }
  return Math.min(at, end);
}

function writePiece({ target, times }: Copy, bytes: Uint8Array, start: number): Promise<number> {
  return times.time("write", () => target.write(bytes, start));
}
