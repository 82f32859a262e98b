/**
 * Writing a piece of data, with the zeroes inside it found and treated as zeroes: the last of the three parts.
 *
 * @module
 */
import type { WriterTraits } from "../../formats/mod.ts";
import type { CopyJob } from "./copy_job.ts";
import { decide } from "./plan.ts";
import { type Part, splitZeroes, type ZeroRule } from "../zeroes.ts";

/** Which zeroes inside data count: whole units of a compressing target, else what the user asked for. */
export function zeroRuleFor(traits: WriterTraits, sparseSize: number): ZeroRule | null {
  if (sparseSize === 0) return null;
  // Where zeroes cost as much as data and must be written, looking for them gains nothing.
  if (!traits.startsZeroed && traits.zeroes === "written") return null;
  if (traits.compress) return { grid: traits.clusterSize, least: traits.clusterSize };
  return { grid: 2 ** Math.floor(Math.log2(sparseSize)), least: sparseSize };
}

/** Writes zeroes; none of them were found inside data. */
export async function writeZeroes(start: number, end: number, job: CopyJob): Promise<0> {
  await job.writer.zero(start, end);
  if (job.traits.zeroes === "written") await job.pace.account(end - start);
  return 0;
}

/** Writes one piece; returns how many of its bytes were found to be zero. */
export async function writePiece(
  piece: Uint8Array,
  start: number,
  job: CopyJob,
  rule: ZeroRule | null,
): Promise<number> {
  if (!rule) {
    await job.writer.write(piece, start);
    await job.pace.account(piece.length);
    return 0;
  }
  let zeroes = 0;
  const writes: Promise<unknown>[] = [];
  for (const part of splitZeroes(piece, start, rule)) {
    if (part.zero) zeroes += part.end - part.start;
    const write = writePart(part, piece.subarray(part.start - start, part.end - start), job);
    // A target that compress gets all parts at once, so that its calls come in the order of the disk whatever compress first.
    if (job.traits.compress) writes.push(write);
    else await write;
  }
  await Promise.all(writes);
  return zeroes;
}

export async function writePart(part: Part, bytes: Uint8Array, job: CopyJob): Promise<void> {
  if (!part.zero) {
    await job.writer.write(bytes, part.start);
    await job.pace.account(bytes.length);
    return;
  }
  const action = decide({ start: part.start, end: part.end, kind: "zero" }, job.traits, job.policy);
  if (action !== "skip") await writeZeroes(part.start, part.end, job);
}
