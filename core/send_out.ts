/**
 * Pieces that workers copy: data that lie plainly in the source and have a fixed place in the target.
 *
 * @module
 */
import { alignDown, PIECE } from "../formats/mod.ts";
import type { CopyJob } from "./copy_job.ts";
import { type CopyOrder, CREW_PIECE, placeIn } from "./file_crew.ts";
import type { Lanes } from "./lanes.ts";
import type { Load } from "./load.ts";
import type { Step } from "./plan.ts";
import { writePart, writePiece } from "./write_piece.ts";
import type { ZeroRule } from "./zeroes.ts";

/** What workers can copy of `step` from `start` on, as far as one of them should go. */
export async function orderAt(
  step: Step,
  start: number,
  job: CopyJob,
  rule: ZeroRule | null,
): Promise<CopyOrder | null> {
  const { crew, source, writer } = job;
  if (!crew || !writer.placeFor || step.act !== "copy" || step.packed) return null;
  const end = Math.min(alignDown(start, CREW_PIECE) + CREW_PIECE, step.end);
  if (!crew.takes(end - start)) return null;
  const place = await source.placeOf?.(start, end);
  const from = place ? placeIn(place.storage, place.fileStart) : null;
  const target = writer.placeFor(start);
  const to = placeIn(target.storage, target.fileStart);
  return place && from && to ? { from, to, length: place.end - start, guestStart: start, rule } : null;
}

/** Lets a worker copy a piece. */
export async function sendOut(piece: Step, order: CopyOrder, job: CopyJob, lanes: Lanes, load: Load): Promise<void> {
  const { start, end } = piece;
  job.onEvent({ type: "begin", start, end });
  const write = async () => {
    const copied = await job.crew!.copy(order);
    if (!copied) return await copyHere(piece, order.rule, job, load);
    const { storage, fileStart } = job.writer.placeFor!(start);
    storage.noteWritten?.(fileStart, fileStart + order.length);
    load.took("read", copied.read);
    load.took("write", copied.write);
    await job.pace.wrote(order.length);
    let zeroes = 0;
    for (const part of copied.zeroes) {
      zeroes += part.end - part.start;
      await writePart(part, new Uint8Array(0), job);
    }
    return zeroes;
  };
  await lanes.run({ piece, write }, { pieces: true, writes: true });
}

/** Copies a piece that a worker could not. */
async function copyHere({ start, end }: Step, rule: ZeroRule | null, job: CopyJob, load: Load): Promise<number> {
  const buffer = new Uint8Array(PIECE);
  let zeroes = 0;
  for (let at = start; at < end;) {
    const bytes = buffer.subarray(0, Math.min(alignDown(at, PIECE) + PIECE, end) - at);
    await load.time("read", () => job.source.read(bytes, at));
    zeroes += await load.time("write", () => writePiece(bytes, at, job, rule));
    at += bytes.length;
  }
  return zeroes;
}
