/**
 * Workers copy data that has a fixed location in the target, and in the source a location or is compressed.
 * Workers read located data themselves; compressed clusters are read here, because only the format finds them, and a
 * worker decompresses and writes them.
 *
 * @module
 */
import { alignDown, pageMemory, PIECE } from "../../formats/mod.ts";
import {
  type Copied,
  type CopyRequest,
  type FileRange,
  fileRangeOf,
  WORKER_PIECE,
  type WorkerIo,
} from "../workers/worker_io.ts";
import { copyInline } from "./inline_copy.ts";
import type { Copy, MoverOf } from "./job.ts";
import { extentIn, locatedEnd, type Step } from "./plan.ts";
import { writeFoundZeroes, zeroRuleFor } from "./zero_detection.ts";

/** The most file ranges of the source in one request. */
const PARTS = 64;

/** Where zeroes follow after fewer bytes, a request costs more than copying them here. */
const LEAST_LENGTH = 64 << 10;

/** Returns a mover that hands data to `workers`. */
export function workerCopyBy(workers: WorkerIo): MoverOf {
  return (copy) => {
    const { job, pieces } = copy;
    const rule = zeroRuleFor(job.traits, job.sparseSize);
    return async (step, start) => {
      const target = job.writer.locationFor?.(start);
      if (!target || (step.compressed && !job.source.readCompressed)) return null;
      const size = step.compressed ? pieces.compressed : WORKER_PIECE;
      const limit = Math.min(alignDown(start, size) + size, step.end, target.end);
      // Until the workers are ready, inline copy takes a piece of this length.
      const inlineLength = step.compressed ? limit - start : Math.min(alignDown(start, PIECE) + PIECE, limit) - start;
      if (!workers.accepts(inlineLength)) return null;
      const to = fileRangeOf(target.storage, target.offset);
      if (!to) return null;
      if (step.compressed) {
        await decompressInto(copy, workers, step, start, limit, { to, guestStart: start, rule });
        return limit;
      }
      const { from, end } = fileRangesOf(step, start, limit);
      if (end === start || (end < limit && end - start < LEAST_LENGTH && extentIn(step, end).kind === "zero")) {
        return null;
      }
      await runInPipeline(copy, step, start, end, () => workers.copy({ from, to, guestStart: start, rule }));
      return end;
    };
  };
}

async function decompressInto(
  copy: Copy,
  workers: WorkerIo,
  step: Step,
  start: number,
  end: number,
  request: Omit<CopyRequest, "from">,
): Promise<void> {
  const { source } = copy.job;
  let clusters: Awaited<ReturnType<NonNullable<typeof source.readCompressed>>> = null;
  const send = async () => clusters && await workers.decompressInto({ ...request, clusters });
  await runInPipeline(copy, step, start, end, send, async (buffer) => {
    clusters = await source.readCompressed!(buffer, start, end);
  });
}

/** Returns the file ranges of guest bytes from `start` on, up to the first byte that is in no file workers can open. */
export function fileRangesOf(
  step: Step,
  start: number,
  limit: number,
): { readonly from: CopyRequest["from"]; readonly end: number } {
  const from: CopyRequest["from"][number][] = [];
  let end = start;
  while (end < limit && from.length < PARTS) {
    const extent = extentIn(step, end);
    const partEnd = Math.min(locatedEnd(extent), limit);
    if (partEnd <= end || !extent.location) break;
    const range: FileRange | null = fileRangeOf(extent.location.storage, extent.location.offset + end - extent.start);
    if (!range) break;
    from.push({ ...range, length: partEnd - end });
    end = partEnd;
  }
  return { from, end };
}

/** Runs a request in the pipeline; if the workers cannot do it, this thread copies. */
async function runInPipeline(
  copy: Copy,
  step: Step,
  start: number,
  end: number,
  send: () => Promise<Copied | null>,
  read?: (buffer: Uint8Array) => Promise<void>,
): Promise<void> {
  const { job, pipeline, times } = copy;
  const write = async () => {
    const copied = await send();
    if (!copied) return await copyInline(copy, step, start, end, pageMemory);
    const { storage, offset } = job.writer.locationFor!(start);
    storage.noteWritten?.(offset, offset + end - start);
    times.add(copied);
    await job.throttle.account(end - start);
    let zeroes = 0;
    for (const part of copied.zeroes) {
      zeroes += part.end - part.start;
      await writeFoundZeroes(part, job);
    }
    return zeroes;
  };
  await pipeline.run({
    piece: { ...step, start, end },
    ...(read && { read: (buffer: Uint8Array) => times.time("read", () => read(buffer)) }),
    write,
  }, { pieces: true, writes: true });
}
