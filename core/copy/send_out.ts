/**
 * Pieces that workers copy: data that lie in the source plainly or compressed, and have a fixed place in the target.
 *
 * @module
 */
import { alignDown, pageMemory, PIECE } from "../../formats/mod.ts";
import type { CopyJob } from "./copy_job.ts";
import { type Copied, type CopyOrder, CREW_PIECE, type FilePlace, placeIn } from "../workers/worker_io.ts";
import type { Pipeline } from "./pipeline.ts";
import type { StageTimes } from "./stage_times.ts";
import type { Step } from "./plan.ts";
import { writePart, writePiece } from "./write_piece.ts";
import type { ZeroRule } from "../zeroes.ts";

/** An order speaks of so many parts of the source at most. */
const PARTS = 64;

/** What workers can do of a step, as far as one of them should go. */
export interface Errand {
  /** Guest byte after the last. */
  readonly end: number;
  /** Fills a lane's buffer first; absent where the worker reads. */
  read?(buffer: Uint8Array): Promise<void>;
  /** Sends a worker; `null` where the work must be done here. */
  send(): Promise<Copied | null>;
}

/**
 * What workers can copy of `step` from `start` on.
 *
 * @param compressedSize how much of compressed data fits into a lane's buffer
 */
export async function errandAt(
  step: Step,
  start: number,
  job: CopyJob,
  rule: ZeroRule | null,
  compressedSize: number,
): Promise<Errand | null> {
  const { crew, writer, source } = job;
  if (!crew || !writer.placeFor || step.action !== "copy") return null;
  if (step.compressed && !source.readCompressed) return null;
  const size = step.compressed ? compressedSize : CREW_PIECE;
  const target = writer.placeFor(start);
  const end = Math.min(alignDown(start, size) + size, step.end, target.end);
  // What is done here if no worker is there.
  const piece = step.compressed ? end - start : Math.min(alignDown(start, PIECE) + PIECE, end) - start;
  if (!crew.takes(piece)) return null;
  const to = placeIn(target.storage, target.fileStart);
  if (!to) return null;
  return step.compressed ? unloading(start, end, to, job, rule) : await copying(start, end, to, job, rule);
}

/** Compressed clusters are read here, because only the format knows how they lie; a worker decompresses and writes them. */
function unloading(start: number, end: number, to: FilePlace, job: CopyJob, rule: ZeroRule | null): Errand {
  let units: Awaited<ReturnType<NonNullable<CopyJob["source"]["readCompressed"]>>> = null;
  return {
    end,
    async read(buffer) {
      units = await job.source.readCompressed!(buffer, start, end);
    },
    async send() {
      return units && await job.crew!.unload({ units, to, guestStart: start, rule });
    },
  };
}

async function copying(
  start: number,
  limit: number,
  to: FilePlace,
  { crew, source }: CopyJob,
  rule: ZeroRule | null,
): Promise<Errand | null> {
  const from: CopyOrder["from"][number][] = [];
  let end = start;
  while (end < limit && from.length < PARTS) {
    const place = await source.placeOf?.(end, limit);
    const part = place ? placeIn(place.storage, place.fileStart) : null;
    if (!place || !part) break;
    from.push({ ...part, length: place.end - end });
    end = place.end;
  }
  return end > start ? { end, send: () => crew!.copy({ from, to, guestStart: start, rule }) } : null;
}

/** Lets a worker copy a piece. */
export async function sendOut(
  piece: Step,
  errand: Errand,
  job: CopyJob,
  rule: ZeroRule | null,
  lanes: Pipeline,
  load: StageTimes,
): Promise<void> {
  const { start, end } = piece;
  job.onEvent({ type: "begin", start, end });
  const write = async () => {
    const copied = await errand.send();
    if (!copied) return await copyHere(piece, rule, job, load);
    const { storage, fileStart } = job.writer.placeFor!(start);
    storage.noteWritten?.(fileStart, fileStart + end - start);
    load.add(copied);
    await job.pace.account(end - start);
    let zeroes = 0;
    for (const part of copied.zeroes) {
      zeroes += part.end - part.start;
      await writePart(part, new Uint8Array(0), job);
    }
    return zeroes;
  };
  const read = errand.read && ((buffer: Uint8Array) => load.time("read", () => errand.read!(buffer)));
  await lanes.run({ piece, ...(read && { read }), write }, { pieces: true, writes: true });
}

/** Copies a piece that a worker could not. */
async function copyHere(piece: Step, rule: ZeroRule | null, job: CopyJob, load: StageTimes): Promise<number> {
  const { start, end, compressed } = piece;
  // Reading compressed clusters piece by piece would decompress them more than once.
  const size = compressed ? end - start : PIECE;
  const buffer = pageMemory(size);
  let zeroes = 0;
  for (let at = start; at < end;) {
    const bytes = buffer.subarray(0, compressed ? size : Math.min(alignDown(at, PIECE) + PIECE, end) - at);
    await load.time("read", () => job.source.read(bytes, at));
    zeroes += await load.time("write", () => writePiece(bytes, at, job, rule));
    at += bytes.length;
  }
  return zeroes;
}
